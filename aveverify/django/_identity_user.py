"""`IdentityUser`: what `request.user` is in a project that has no users of its own: the identity, as Django asks users.

It has no record and no permission. Knows no request. HTP-036; HTP-044.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn, ParamSpec, TypeVar

from django.apps import apps

from aveverify._core.identity import Identity

if TYPE_CHECKING:
    from django.contrib.auth.models import Group, Permission
    from django.db.models.manager import EmptyManager

P = ParamSpec("P")
R = TypeVar("R")

# What an identity consists of.
_MEMBERS: Final = tuple(name for kind in Identity.__mro__ for name in getattr(kind, "__slots__", ()))
# What only a record of Django's users has, and `is_verified`, by which django-otp tells who has shown a second factor:
# no claim may stand in their place, either.
_OF_RECORDS: Final = frozenset({
    "Meta", "check", "clean", "email_user", "get_email_field_name", "get_next_by_date_joined",
    "get_previous_by_date_joined", "get_session_auth_fallback_hash", "get_session_auth_hash", "is_verified",
    "logentry_set", "natural_key", "normalize_username", "objects", "password", "username_validator",
})  # fmt: skip


def _awaitable(method: Callable[P, R]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Return the same method for `await`."""

    @wraps(method)
    async def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return method(*args, **kwargs)

    return call


class IdentityUser(Identity):
    """An `Identity` that answers what Django and its packages ask of a user; `request.user` without a `USER_LOADER`.

    It is authenticated and active, no staff, and holds no permission of Django: the admin, `permission_required` and
    `DjangoModelPermissions` refuse it. It equals the identity that it was made of.

    `user["plan"]` reads a custom claim. A claim named like an attribute of this class, such as `is_staff`, is not read
    that way: a template, which looks up items before attributes, would take it for the attribute. Nor are `groups` and
    `user_permissions`, in which a template would find groups of Django; `user.get("groups")` reads the claim.

    Args:
        identity: The verified identity.

    Attributes:
        pk: The token identifier; so are `id` and `username`.
        is_active: True.
        is_anonymous: False.
        is_staff: False.
        is_superuser: False.
        last_login: None.
        date_joined: None.

    Raises:
        TypeError: The argument is no identity.
    """

    __slots__ = ()

    USERNAME_FIELD: ClassVar[str] = "username"
    EMAIL_FIELD: ClassVar[str] = "email"
    REQUIRED_FIELDS: ClassVar[tuple[str, ...]] = ()
    is_active: ClassVar[bool] = True
    is_anonymous: ClassVar[bool] = False
    is_staff: ClassVar[bool] = False
    is_superuser: ClassVar[bool] = False
    last_login: ClassVar[None] = None
    date_joined: ClassVar[None] = None

    def __init__(self, identity: Identity) -> None:
        if not isinstance(identity, Identity):
            message = "an IdentityUser is made of an Identity"
            raise TypeError(message)
        for name in _MEMBERS:
            # An identity refuses a plain assignment.
            object.__setattr__(self, name, getattr(identity, name))

    @property
    def pk(self) -> str:
        """The token identifier, by which throttles and logs tell users apart."""
        return self.token_identifier

    id = username = pk

    @property
    def first_name(self) -> str:
        """The given name; empty when absent."""
        return self.given_name or ""

    @property
    def last_name(self) -> str:
        """The family name; empty when absent."""
        return self.family_name or ""

    def get_username(self) -> str:
        """Return the token identifier."""
        return self.token_identifier

    def get_full_name(self) -> str:
        """Return the name to show to a person, as `display_name`."""
        return self.display_name

    def get_short_name(self) -> str:
        """Return the given name, or the name to show to a person."""
        return self.given_name or self.display_name

    @property
    def groups(self) -> EmptyManager[Group]:
        """No groups of Django. The claim of that name is `user.get("groups")`."""
        return _no_records("Group")  # type: ignore[no-any-return] # the model is imported by name

    @property
    def user_permissions(self) -> EmptyManager[Permission]:
        """No permissions of Django."""
        return _no_records("Permission")  # type: ignore[no-any-return] # as above

    def get_user_permissions(self, obj: object = None) -> set[str]:
        """Return no permissions.

        Args:
            obj: The object that they would be about.

        Returns:
            An empty set.
        """
        del obj
        return set()

    get_group_permissions = get_all_permissions = get_user_permissions
    aget_user_permissions = aget_group_permissions = aget_all_permissions = _awaitable(get_user_permissions)

    def has_perm(self, perm: str, obj: object = None) -> bool:
        """Tell whether the user holds a permission of Django: no.

        Args:
            perm: The permission.
            obj: The object that it is about.

        Returns:
            False. Scopes, `allow` and `USER_LOADER` authorize tokens.
        """
        del perm, obj
        return False

    ahas_perm = _awaitable(has_perm)

    def has_perms(self, perm_list: Iterable[str], obj: object = None) -> bool:
        """Tell whether the user holds all of these permissions of Django.

        Args:
            perm_list: The permissions.
            obj: The object that they are about.

        Returns:
            False, unless the list is empty: then nothing is demanded, as of every other user.

        Raises:
            ValueError: It is no list.
        """
        if isinstance(perm_list, str) or not isinstance(perm_list, Iterable):
            message = "perm_list must be an iterable of permissions"
            raise ValueError(message)  # noqa: TRY004 - as users of Django do
        return all(self.has_perm(perm, obj) for perm in perm_list)

    ahas_perms = _awaitable(has_perms)

    def has_module_perms(self, app_label: str) -> bool:
        """Tell whether the user holds any permission of an application: no.

        Args:
            app_label: The application.

        Returns:
            False.
        """
        del app_label
        return False

    ahas_module_perms = _awaitable(has_module_perms)

    def has_usable_password(self) -> bool:
        """Return False: there is no password here."""
        return False

    def check_password(self, raw_password: str) -> bool:
        """Tell whether this is the password of the user: there is none.

        Args:
            raw_password: The password.

        Returns:
            False.
        """
        del raw_password
        return False

    acheck_password = _awaitable(check_password)

    def save(self, *_args: object, **_kwargs: object) -> NoReturn:
        """Refuse: an identity has no record in a database.

        Raises:
            NotImplementedError: Always; `USER_LOADER` finds or makes a record.
        """
        message = "an IdentityUser has no record in the database; USER_LOADER finds or makes one"
        raise NotImplementedError(message)

    asave = delete = adelete = set_password = set_unusable_password = save

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - any JSON value
        """Return a custom claim, unless it is named like an attribute of this class.

        Args:
            name: As for an `Identity`.

        Returns:
            Its JSON value.

        Raises:
            KeyError: There is no such claim, or it is named like an attribute.
        """
        if name in _NEVER_CLAIMS:
            raise KeyError(name)
        return super().__getitem__(name)

    def __str__(self) -> str:
        """Return the token identifier, as users of Django return their username."""
        return self.token_identifier

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the identity; the token and its signature are not here."""
        rebuild, arguments = super().__reduce__()
        return IdentityUser, (rebuild(*arguments),)


def _no_records(model: str) -> Any:  # noqa: ANN401 - the manager of either model
    # Models can be imported only after the applications are ready, and only where `django.contrib.auth` is one of them.
    from django.db.models.manager import EmptyManager  # noqa: PLC0415 - as above

    return EmptyManager(apps.get_model("auth", model))


# What identifies or authorizes the user. The standard attributes of a customJwt token are claims, and remain readable.
_NEVER_CLAIMS: Final = frozenset({
    *(name for kind in (IdentityUser, Identity) for name in vars(kind)),
    *_MEMBERS,
    *_OF_RECORDS,
})  # fmt: skip
