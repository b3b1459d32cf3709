import re
import runpy
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_nearest_neighbours_beat_chance_even_with_random_features(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["nearest_neighbours.py"])
    runpy.run_path(str(EXAMPLES / "nearest_neighbours.py"), run_name="__main__")
    (accuracy,) = re.findall(r"([\d.]+) % of 1000 images", capsys.readouterr().out)
    # Chance is 10 %; pixels alone separate most clothing.
    assert float(accuracy) > 50
