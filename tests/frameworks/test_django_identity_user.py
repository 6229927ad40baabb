"""Django: the user of a project that has no users of its own answers what Django and its packages ask of users."""

from __future__ import annotations

import asyncio
import copy
import pickle
from typing import Any

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.context_processors import PermWrapper
from django.contrib.auth.models import AbstractUser, AnonymousUser
from django.db.models import Model
from django.db.models.query import EmptyQuerySet
from django.template import Context, Engine
from django.test import override_settings

from aveverify import Identity, Verifier
from aveverify.django import IdentityUser
from aveverify.testing import FakeIssuer
from tests.http import django_settings  # noqa: F401 - configures Django

# What only a record of a database has.
OF_RECORDS = {
    "clean", "clean_fields", "full_clean", "get_deferred_fields", "get_next_by_date_joined",
    "get_previous_by_date_joined", "get_constraints", "logentry_set", "objects", "prepare_database_save",
    "refresh_from_db", "arefresh_from_db", "save_base", "serializable_value", "unique_error_message",
    "validate_constraints", "validate_unique", "date_error_message", "from_db", "check", "DoesNotExist",
    "MultipleObjectsReturned", "NotUpdated", "username_validator", "normalize_username",
    "get_email_field_name", "natural_key", "email_user", "password", "get_session_auth_hash",
    "get_session_auth_fallback_hash", "Meta",
}  # fmt: skip


@pytest.fixture
def identity(shared_verifier: Verifier, tokens: dict[str, str]) -> Identity:
    return shared_verifier.verify(tokens["good"])


@pytest.fixture
def user(identity: Identity) -> Any:
    return IdentityUser(identity)


def test_a_user_is_the_identity_that_it_was_made_of(user: Any, identity: Identity) -> None:
    assert isinstance(user, Identity)
    assert (user, hash(user), repr(user)) == (identity, hash(identity), repr(identity))
    assert identity == user
    assert user.to_convex() == identity.to_convex()
    assert (user.email, user.claims, user.expires_at) == (identity.email, identity.claims, identity.expires_at)


def test_a_user_is_authenticated_and_active_and_nothing_more(user: Any) -> None:
    flags = ("is_authenticated", "is_active", "is_anonymous", "is_staff", "is_superuser")

    assert [getattr(user, name) for name in flags] == [True, True, False, False, False]


@pytest.mark.parametrize(
    "kind", [AbstractUser, AbstractBaseUser, AnonymousUser], ids=["AbstractUser", "AbstractBaseUser", "AnonymousUser"]
)
def test_no_attribute_of_djangos_users_is_missing(user: Any, kind: type) -> None:
    names = {name for name in dir(kind) if not name.startswith("_")} - OF_RECORDS

    assert [name for name in sorted(names) if not hasattr(user, name)] == []


def test_the_names_of_a_user(user: Any, identity: Identity) -> None:
    assert {user.pk, user.id, user.username, user.get_username(), str(user)} == {identity.token_identifier}
    assert getattr(user, user.USERNAME_FIELD) == identity.token_identifier
    assert getattr(user, user.EMAIL_FIELD) == identity.email


@pytest.mark.parametrize(
    ("claims", "names"),
    [
        pytest.param(
            {"name": "Ada Lovelace", "given_name": "Ada", "family_name": "Lovelace"},
            ("Ada", "Lovelace", "Ada Lovelace", "Ada"),
            id="all names",
        ),
        pytest.param({}, ("", "", "ada", "ada"), id="no names"),
    ],
)
def test_the_names_of_a_person(claims: dict[str, str], names: tuple[str, ...]) -> None:
    issuer = FakeIssuer()
    token = issuer.token(claims, sub="ada", omit=["name", "preferred_username"] if not claims else [])
    user: Any = IdentityUser(issuer.verifier().verify(token))

    assert (user.first_name, user.last_name, user.get_full_name(), user.get_short_name()) == names


def test_a_user_holds_no_permission_of_django(user: Any) -> None:
    async def ask() -> list[Any]:
        return [
            await user.ahas_perm("notes.add_note"),
            await user.ahas_perms(["notes.add_note"]),
            await user.ahas_module_perms("notes"),
            await user.aget_user_permissions(),
            await user.aget_group_permissions(),
            await user.aget_all_permissions(),
        ]

    answers = [
        user.has_perm("notes.add_note"),
        user.has_perms(["notes.add_note"]),
        user.has_module_perms("notes"),
        user.get_user_permissions(),
        user.get_group_permissions(),
        user.get_all_permissions(user),
    ]
    assert answers == asyncio.run(ask()) == [False, False, False, set(), set(), set()]
    assert isinstance(user.groups.filter(name="editors"), EmptyQuerySet)
    assert isinstance(user.user_permissions.all(), EmptyQuerySet)
    assert "notes" not in PermWrapper(user)


def test_no_permissions_are_held_where_none_are_demanded(user: Any) -> None:
    assert user.has_perms([])


@pytest.mark.parametrize("permissions", ["notes.add_note", None])
def test_permissions_are_a_list(user: Any, permissions: Any) -> None:
    with pytest.raises(ValueError, match="iterable"):
        user.has_perms(permissions)


def test_a_user_has_no_password_and_no_record(user: Any) -> None:
    assert not user.has_usable_password()
    assert not user.check_password("")
    assert not asyncio.run(user.acheck_password(""))
    for change in (user.save, user.delete, user.set_password):
        with pytest.raises(NotImplementedError):
            change()


def test_a_user_can_be_copied_and_pickled(user: Any) -> None:
    for same in (copy.copy(user), copy.deepcopy(user), pickle.loads(pickle.dumps(user))):  # noqa: S301 - of this test
        assert type(same) is IdentityUser
        assert same == user
    assert copy.copy(user).is_active


def test_only_an_identity_becomes_a_user() -> None:
    with pytest.raises(TypeError):
        IdentityUser("ada")  # type: ignore[arg-type] # the point of the test


def test_a_user_cannot_be_changed(user: Any) -> None:
    for name in ("is_staff", "is_superuser", "subject"):
        with pytest.raises(AttributeError):
            setattr(user, name, True)


CLAIMS = {
    "is_staff": True,
    "is_superuser": True,
    "has_perm": True,
    "is_authenticated": False,
    "subject": "grace",
    "pk": "grace",
    "plan": "pro",
    "groups": {"all": ["editors"]},
    "user_permissions": {"all": ["add_note"]},
    "password": "secret",
    "is_verified": True,
    "logentry_set": {"all": ["a change"]},
}


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("user.is_staff", "False"),
        ("user.is_superuser", "False"),
        ("user.has_perm", "False"),
        ("user.is_authenticated", "True"),
        ("user.subject", "ada"),
        ("user.plan", "pro"),
        ("user.groups.0", ""),
        ("user.groups.all.query.is_empty", "True"),
        ("user.user_permissions.all.query.is_empty", "True"),
        ("user.password", ""),
        ("user.is_verified", ""),
        ("user.logentry_set.all.0", ""),
        ("perms.notes.add_note", "False"),
    ],
)
def test_no_claim_of_a_token_passes_for_an_attribute_in_a_template(expression: str, text: str) -> None:
    """HTP-044: templates look up items before attributes."""
    issuer = FakeIssuer()
    user = IdentityUser(issuer.verifier().verify(issuer.token(CLAIMS | {"sub": "ada"})))
    context = Context({"user": user, "perms": PermWrapper(user)})
    shown = Engine().from_string(f"{{{{ {expression} }}}}").render(context)

    # A method that needs an argument is not called, and shows nothing.
    assert shown == ("" if expression == "user.has_perm" else text)
    assert user.get("is_staff") is True
    assert user.get("groups") == {"all": ["editors"]}


@pytest.mark.parametrize("kind", [AbstractUser, AnonymousUser], ids=["AbstractUser", "AnonymousUser"])
def test_no_claim_passes_for_what_djangos_users_have_of_their_own(kind: type) -> None:
    """HTP-044: their attributes and relations; what every record of a database has decides nothing about users."""
    names = [name for name in dir(kind) if not name.startswith("_") and name not in dir(Model)]
    issuer = FakeIssuer()
    user = IdentityUser(
        issuer.verifier().verify(
            issuer.token(dict.fromkeys([*names, "groups", "user_permissions"], "claim") | {"sub": "ada"})
        )
    )

    assert [name for name in names if _read(user, name) == "claim"] == []


def _read(user: IdentityUser, name: str) -> object:
    try:
        return user[name]
    except KeyError:
        return None


def test_claims_of_a_custom_jwt_are_read_as_before() -> None:
    issuer = FakeIssuer()
    user = IdentityUser(
        issuer.verifier(issuer.custom_jwt_provider("RS256")).verify(issuer.token(name="Ada", plan="pro"))
    )

    assert (user["name"], user["plan"], "plan" in user) == ("Ada", "pro", True)


def test_a_project_without_djangos_users_has_no_groups(user: Any) -> None:
    with override_settings(INSTALLED_APPS=["aveverify.django"]), pytest.raises(LookupError):
        _ = user.groups
