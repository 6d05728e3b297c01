from __future__ import annotations

from typing import Any

import pytest

from benchmarks.recipes import RECIPES, USUAL, Recipe, summary, targets
from napari_unetseg.training import finetune, losses


def test_a_recipe_is_in_effect_for_a_while() -> None:
    weight, at_home = losses.REHEARSAL, finetune.was_made_of

    with Recipe(weight=8.0, rate=1e-4, rehearses=True).in_effect() as choices:
        assert losses.REHEARSAL == 8.0
        assert finetune.was_made_of is not at_home
        assert choices == {"promote": "never", "learning_rate": 1e-4}
    assert weight == losses.REHEARSAL
    assert finetune.was_made_of is at_home

    with Recipe(rehearses=False).in_effect() as choices:
        assert choices == {"promote": "never", "rehearse": False}
    with USUAL.in_effect() as choices:
        assert choices == {"promote": "never"}
        assert weight == losses.REHEARSAL


def test_recipes_are_told_apart_by_what_they_change() -> None:
    assert USUAL.name == "usual"
    assert Recipe(weight=0.5, rate=1e-4).name == "weight 0.5, rate 0.0001"
    for recipes in RECIPES.values():
        assert recipes[0] == USUAL
        assert len({recipe.name for recipe in recipes}) == len(recipes)


def rows_of(situation: str, **dice: float) -> list[dict[str, Any]]:
    recipes = {"usual": USUAL, "without": Recipe(rehearses=False),
               "rehearsing": Recipe(rehearses=True)}  # fmt: skip
    return [
        {"set": "phantom", "seed": seed, "situation": situation,
         "recipe": recipes[key].name, "dice": value + seed / 10,
         "probe": None if situation == "home" else value / 2}
        for key, value in dice.items()
        for seed in (0, 1)
    ]  # fmt: skip


def test_each_choice_has_to_be_good_for_something() -> None:
    rows = rows_of("five", usual=0.8, without=0.7)
    rows += rows_of("home", usual=0.6, rehearsing=0.65)
    table = summary(rows)

    assert table["five"]["usual"] == pytest.approx({"dice": 0.85, "probe": 0.4})
    assert table["home"]["usual"] == pytest.approx({"dice": 0.65})
    found = {target.name: target for target in targets(table)}
    assert {name: target.value for name, target in found.items()} == pytest.approx(
        {"rehearsing_keeps_five": 0.05, "not_rehearsing_at_home_gains": -0.05}
    )
    assert found["rehearsing_keeps_five"].is_met
    assert not found["not_rehearsing_at_home_gains"].is_met
