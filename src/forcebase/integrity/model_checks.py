"""Models: does each still give the answers that were stored with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from mongoengine.errors import MongoEngineException

from forcebase.database.database import Database
from forcebase.database.neutral_models import same_models
from forcebase.database.publishing import stored_model
from forcebase.database.trust import may_run
from forcebase.errors import ForcebaseError, MissingDependencyError
from forcebase.integrity.findings import Finding, FindingKind
from forcebase.outputs import MACE
from forcebase.plugins import Group, names
from forcebase.records import ModelMethod


def check_model(db: Database, model_id: str) -> Iterator[Finding]:
    """Load a model and ask it its golden probe again; one without a probe is let pass."""
    from forcebase.models.golden_probe import load_checked

    try:
        model = cast("ModelMethod", db.methods.get(model_id))
    except MongoEngineException as error:
        words = f"it cannot be read: {error}"
        yield Finding(
            FindingKind.MALFORMED, "methods", model_id, words, "Restore it from a backup."
        )
        return
    for other in same_models(db.raw, [model_id]).get(model_id, []):
        if other < model_id:  # of two that are the same, one says so
            words = f"its numbers, precision and head are those of {other[:10]}"
            yield _finding(FindingKind.SAME_MODEL, model_id, words, "Use either: they are one.")
    if not model.golden_probe:
        return
    if reason := may_run(db, model):
        hint = f"`forcebase model trust {model_id[:10]}` shows what it would run, and asks."
        yield _finding(FindingKind.NOT_CHECKED, model_id, f"not run: {reason}.", hint)
        return
    if model.kind == MACE and not model.neutral:
        words = "it has no neutral form, and its file may run code: it is not opened unasked"
        hint = f"If you trust where it came from: `forcebase model convert {model_id[:10]}`."
        yield _finding(FindingKind.NOT_CHECKED, model_id, words, hint)
        return
    if model.kind != MACE and model.kind not in names(Group.MODELS):
        words = f"no package that is installed here registers the kind of model {model.kind!r}"
        hint = "Install the package that brings it, and verify again."
        yield _finding(FindingKind.NOT_CHECKED, model_id, words, hint)
        return
    try:
        load_checked(stored_model(db, model))
    except MissingDependencyError as error:
        yield _finding(FindingKind.NOT_CHECKED, model_id, error.message, error.hint)
    except ForcebaseError as error:
        yield _finding(FindingKind.PROBE_FAILED, model_id, error.message, error.hint)
    except Exception as error:  # of a package that somebody else wrote
        yield _finding(FindingKind.PROBE_FAILED, model_id, f"{type(error).__name__}: {error}", "")


def _finding(kind: FindingKind, model_id: str, words: str, hint: str | None) -> Finding:
    hint = hint or "Compare the installed packages with those in its record."
    return Finding(kind, "methods", model_id, words, hint)
