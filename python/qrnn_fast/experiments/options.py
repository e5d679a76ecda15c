"""What the commands of the command line have in common."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import sys
from collections.abc import Callable, Collection
from typing import Annotated, Any, get_type_hints

import typer

from qrnn_fast.experiments.ranks import EndedError
from qrnn_fast.experiments.settings import Settings

INTERRUPTED = 130


def plain_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Report errors of the input and of the run as one message; Ctrl-C as code 130."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except typer.Exit:  # a RuntimeError by inheritance
            raise
        except EndedError:
            raise typer.Exit(1) from None
        except KeyboardInterrupt as interrupt:
            print(str(interrupt) or "interrupted", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None
        except (ValueError, TypeError, ImportError) as error:
            print(f"error: {error}", file=sys.stderr)
            raise typer.Exit(2) from None
        except (RuntimeError, OSError) as error:
            print(f"failed: {error}", file=sys.stderr)
            raise typer.Exit(1) from None

    return wrapped


def settings_as_options(
    command: Callable[..., None] | None = None, *, defaults: Settings | None = None, without: Collection[str] = ()
) -> Callable[..., Any]:
    """Give a command that takes ``**given`` one option for each field of Settings.

    Options that are not given are left out of `given`, so that a resumed run knows which were.

    Args:
        command: the command.
        defaults: what the help tells of options that are not given; None for those of `Settings`.
        without: fields that the command decides by itself.
    """
    if command is None:
        return functools.partial(settings_as_options, defaults=defaults, without=without)
    hints = get_type_hints(Settings)
    panels: dict[str, str] = {}
    for field in dataclasses.fields(Settings):
        panels[field.name] = field.metadata["panel"] or next(reversed(panels.values()))
    fields = [field for field in dataclasses.fields(Settings) if field.name not in without]
    shown = Settings() if defaults is None else defaults
    own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.kind is not p.VAR_KEYWORD]
    parameters = own + [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                hints[field.name] | None,
                typer.Option(
                    "--" + field.name.replace("_", "-"),
                    help=field.metadata["help"],
                    rich_help_panel=panels[field.name],
                    show_default=_shown(getattr(shown, field.name)),
                ),
            ],
        )
        for field in fields
    ]

    @functools.wraps(command)
    def wrapped(**kwargs: Any) -> None:
        names = {field.name for field in fields}
        command(**{name: value for name, value in kwargs.items() if name not in names or value is not None})

    wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {p.name: p.annotation for p in parameters}
    return wrapped


def _shown(default: object) -> str | bool:
    """A default as the help shows it: of None the text says what it means, and a flag that is left out is off."""
    return False if default is None or default is False else str(default)
