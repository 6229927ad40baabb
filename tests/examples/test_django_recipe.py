"""The recipe for Django that `docs/testing.md` shows."""

from __future__ import annotations

# region recipe
from django.http import HttpResponse
from django.test import Client, override_settings
from django.urls import path

from aveverify import Verifier
from aveverify.django import AveRequest, ave_required
from aveverify.testing import FakeIssuer


@ave_required
def me(request: AveRequest) -> HttpResponse:
    return HttpResponse(request.ave_identity.subject)


urlpatterns = [path("me", me)]


def test_a_user_sees_the_page(ave_verifier: Verifier, ave_issuer: FakeIssuer) -> None:
    with override_settings(AVEVERIFY={"VERIFIER": ave_verifier}, ROOT_URLCONF=__name__):
        response = Client().get("/me", headers={"Authorization": f"Bearer {ave_issuer.token(sub='ada')}"})
    assert (response.status_code, response.content) == (200, b"ada")


# endregion
