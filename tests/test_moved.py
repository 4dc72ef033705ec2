"""A study whose policies have been moved goes on with them, and with no others."""

import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from nmmo_jax import cli
from nmmo_jax.commands.studying import StudyCommand
from train.policy import PRETRAINED
from train.studies.moved import identity, made_of
from train.studies.study import Cell


@dataclasses.dataclass
class Look(StudyCommand):
    NAME: ClassVar[str] = "look"
    FORMS: ClassVar[dict] = {"minutes": {}}
    seen: ClassVar[list] = []
    interrupt: ClassVar[bool] = False
    policy: tuple[str, ...] = ()
    swap: str | None = None

    def policies(self):
        return (*self.policy, *([self.swap.partition("=")[2]] if self.swap else []))

    def study(self, out):
        Look.seen[:] = self.policies()

        class Looking:
            def cells(self):
                def compute(told):
                    if Look.interrupt:
                        raise KeyboardInterrupt
                    return {"one": np.ones(1)}

                first = Cell("first", 1.0, lambda _: {"one": np.ones(1)})  # of what has not begun nothing would be left
                return [first, Cell("one", 1.0, compute)]

        return Looking()

    def report(self):
        return lambda study, out, results: "looked"


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """A study that was interrupted, and the policies that it is of: beside it, in it, elsewhere, and in the package."""
    for name in ("here/beside", "here/study-policies/seed-0", "here/study-policies/seed-1", "there/other=1"):
        kind = "chaos128" if name == "there/other=1" else "law128"
        shutil.copytree(PRETRAINED / kind, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Look, "interrupt", True)
    names = ("here/beside", "here/study-policies", "law128", "random")
    assert Look(policy=names, swap="1=there/other=1", out=Path("here/study")).run() == 130
    monkeypatch.setattr(Look, "interrupt", False)
    return tmp_path


def test_policies_beside_it_move_along(begun):
    Path("here").rename("elsewhere")
    assert Look(resume=Path("elsewhere/study")).run() == 0
    beside, seeds, *others = Look.seen
    assert (beside, seeds) == (str(begun / "elsewhere/beside"), str(begun / "elsewhere/study-policies"))
    assert others == ["law128", "random", str(begun / "there/other=1")]
    Path("elsewhere/study").rename("study")  # alone: where they lie now is known
    assert Look(resume=Path("study")).run() == 0
    assert [beside, seeds, *others] == Look.seen


@pytest.mark.parametrize("moves", [("there=away",), ("there/other=1=away/other=1",), ("{}/there=away",)])
def test_it_can_be_told_where_they_are(begun, moves):
    Path("there").rename("away")
    with pytest.raises(ValueError, match=r"no policy is in .*there/other=1 any more; --moved .*there/other=1=FOLDER"):
        Look(resume=Path("here/study")).run()
    assert Look(resume=Path("here/study"), moved=tuple(move.format(begun) for move in moves)).run() == 0
    assert Look.seen[-1] == str(begun / "away/other=1")
    assert Look(resume=Path("here/study")).run() == 0  # and is kept
    with pytest.raises(ValueError, match="--moved nowhere=away: must be OLD=NEW"):
        Look(resume=Path("here/study"), moved=("nowhere=away",)).run()


def test_others_in_their_place_are_refused(begun):
    before = Path("here/study/config.json").read_bytes()
    with pytest.raises(ValueError, match=r"--resume here/study: its policies are others: .*--moved OLD=NEW"):
        Look(resume=Path("here/study"), moved=("there/other=1=here/beside",)).run()
    shutil.rmtree("here/study-policies/seed-1")
    with pytest.raises(ValueError, match="its policies are others"):
        Look(resume=Path("here/study")).run()
    assert Path("here/study/config.json").read_bytes() == before


def test_a_policy_is_known_by_its_parameters():
    law, chaos = identity("law128"), identity("chaos128")
    assert law == identity(str(PRETRAINED / "law128")) != chaos
    assert re.fullmatch(r"step \d+, .* [0-9a-f]{16}", law)


def test_scripts_are_made_of_nothing():
    """Those of the role-playing world, too, which no folder has the name of."""
    assert made_of(["random", "miner", "planner", "smith"]) == {}


def test_moved_belongs_to_resume(capsys):
    with pytest.raises(SystemExit):
        cli.main(["evaluate", "--moved", "a=b"])
    assert capsys.readouterr().err == "nmmo-jax: --moved: belongs to --resume, which is not given\n"


def test_what_is_kept_can_be_read(begun):
    there = json.loads(Path("here/study/config.json").read_text())
    assert there["folder"] == str(begun / "here/study")
    assert list(there["made_of"].values()) == [identity("law128")] * 4 + [identity("chaos128")]
