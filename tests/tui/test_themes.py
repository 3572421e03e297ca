import pytest
from textual.color import Color
from textual.theme import BUILTIN_THEMES, Theme

from orlop_tui.themes import CONTRAST, OWN, contrast, readable

COLOURED = [theme for theme in (*BUILTIN_THEMES.values(), *OWN) if not theme.name.startswith("ansi-")]
TEXTS = ("foreground", "text-success", "text-warning", "text-error", "text-accent", "text-muted")


def variables_of(theme: Theme) -> dict[str, str]:
    return {**theme.to_color_system().generate(), **theme.variables}


@pytest.mark.parametrize("theme", COLOURED, ids=lambda theme: theme.name)
def test_every_text_of_a_theme_stands_out_from_every_ground(theme: Theme) -> None:
    found = readable(variables_of(theme))
    for text in TEXTS:
        for ground in ("background", "surface", "panel"):
            ratio = contrast(Color.parse(found[text]), Color.parse(found[ground]))
            assert ratio >= CONTRAST - 0.05, f"{text} on {ground}: {ratio:.2f}"


def test_some_theme_would_not_be_readable_by_itself() -> None:
    bare = variables_of(BUILTIN_THEMES["atom-one-light"])
    assert contrast(Color.parse(bare["text-success"]), Color.parse(bare["panel"])) < 3


def test_colours_that_only_the_terminal_knows_are_left_to_it() -> None:
    bare = variables_of(BUILTIN_THEMES["ansi-light"])
    assert readable(bare) == bare


def test_contrast_is_what_the_standard_says() -> None:
    assert contrast(Color(0, 0, 0), Color(255, 255, 255)) == pytest.approx(21)
    assert contrast(Color.parse("#777777"), Color(255, 255, 255)) == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", OWN, ids=lambda theme: theme.name)
def test_the_themes_for_colour_blind_people_use_no_red_and_green_apart(theme: Theme) -> None:
    """Good, warning and bad differ in blue, which red-green blindness leaves alone."""
    found = readable(variables_of(theme))
    good, bad = Color.parse(found["text-success"]), Color.parse(found["text-error"])
    assert good.b - bad.b > 60
