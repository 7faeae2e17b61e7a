"""Each law can fail: a noun that breaks it is caught, by name, and the law's own meaning is in the error."""

import pytest

from amiss.testing import batteries
from amiss.testing.batteries import BatteryError, laws
from tests.testing.saboteurs import SABOTEURS

KINDS = ("space", "objective", "constraint", "optimizer", "probe")


def only(monkeypatch, kind, law):
    """The check of a noun, with this law alone; and a healthy noun of the kind."""
    module = getattr(batteries, f"{kind}s")
    monkeypatch.setattr(module, "LAWS", tuple(f for f in module.LAWS if f.__name__.replace("_", "-") == law))
    return getattr(module, f"check_{kind}")


@pytest.mark.parametrize(("kind", "law", "make"), SABOTEURS, ids=[f"{kind}:{law}" for kind, law, _ in SABOTEURS])
def test_a_saboteur_is_caught(monkeypatch, kind, law, make):
    check = only(monkeypatch, kind, law)
    with pytest.raises(BatteryError) as caught:
        check(make())
    assert caught.value.failed == (law,)
    assert [(v.id, v.passed) for v in caught.value.verdicts] == [(law, False)]
    text = str(caught.value)
    assert f"{law}: {laws(kind)[law]} seen " in text
    assert "; needed " in text


def test_every_law_has_its_saboteur():
    assert [(kind, law) for kind in KINDS for law in laws(kind)] == [(kind, law) for kind, law, _ in SABOTEURS]
