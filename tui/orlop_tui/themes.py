"""Orlop's own themes, and colours of text that can be read in every theme.

Themes choose their colours for looks. Here every colour of text is moved towards
black or white until it stands out from each ground that text has, by the contrast
of 4.5 that WCAG 2.2 asks of text (success criterion 1.4.3). Themes that leave the
colours to the terminal stay as they are: it alone knows them.
"""

from collections.abc import Mapping

from textual.color import Color, ColorParseError
from textual.theme import Theme

CONTRAST = 4.5

OWN = (
    Theme(
        name="colour-blind-dark",
        dark=True,
        primary="#56B4E9",
        secondary="#0072B2",
        background="#101418",
        surface="#181D22",
        panel="#222A31",
        foreground="#E6E6E6",
        success="#56B4E9",
        warning="#F0E442",
        error="#E69F00",
        accent="#CC79A7",
    ),
    Theme(
        name="colour-blind-light",
        dark=False,
        primary="#0072B2",
        secondary="#56B4E9",
        background="#FAFAFA",
        surface="#F0F0F0",
        panel="#E2E6EA",
        foreground="#1A1A1A",
        success="#0072B2",
        warning="#8A6D00",
        error="#B34700",
        accent="#8F3F71",
    ),
)
"""Blue, yellow and orange, which all common kinds of colour blindness tell apart (Okabe and Ito, 2008)."""

_GROUNDS = ("background", "surface", "panel")
_TEXTS = ("foreground", "text-success", "text-warning", "text-error", "text-accent", "text-muted")
_MUTED = 0.7
"""How much of the foreground's colour is left in faint text."""


def readable(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables of a theme, with texts that stand out from every ground.

    Args:
        variables: as `textual.app.App.get_css_variables` gives them.
    """
    grounds = [ground for name in _GROUNDS if (ground := _color(variables, name)) is not None]
    foreground = _color(variables, "foreground")
    if len(grounds) < len(_GROUNDS) or foreground is None:
        return dict(variables)  # the terminal's own colours
    found = dict(variables)
    for name in _TEXTS:
        wanted = _color(variables, name)
        if name == "text-muted":
            wanted = grounds[0].blend(foreground, _MUTED)
        if wanted is not None:
            found[name] = standing_out(wanted, grounds).hex
    return found


def standing_out(color: Color, grounds: list[Color]) -> Color:
    """The nearest colour, towards black or towards white, that contrasts with every ground."""
    dark = sum(luminance(ground) for ground in grounds) / len(grounds) < 0.18
    end = Color(255, 255, 255) if dark else Color(0, 0, 0)
    for step in range(21):
        tried = color.blend(end, step / 20)
        if min(contrast(tried, ground) for ground in grounds) >= CONTRAST:
            return tried
    return end


def contrast(one: Color, other: Color) -> float:
    """The ratio of two colours' luminance, 1 to 21 (WCAG 2.2)."""
    brighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def luminance(color: Color) -> float:
    """Relative luminance, 0 to 1 (WCAG 2.2)."""
    red, green, blue = (_linear(part / 255) for part in color.rgb)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else float(((part + 0.055) / 1.055) ** 2.4)


def _color(variables: Mapping[str, str], name: str) -> Color | None:
    """A variable's colour; None where the terminal or the ground decides it."""
    text = variables.get(name, "auto")
    if text.startswith(("ansi_", "transparent", "auto")):
        return None
    try:
        return Color.parse(text)
    except ColorParseError:
        return None
