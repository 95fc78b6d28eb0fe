"""The bugs that are planted to test the tests fit the code they are planted in."""

import environment
import plant_bugs
import pytest


@pytest.mark.parametrize("bug", plant_bugs.BUGS, ids=[bug[0] for bug in plant_bugs.BUGS])
def test_each_can_be_planted(bug):
    _rule, file, text, instead, _stage, _word = bug
    assert (environment.ROOT / file).read_text("utf-8").count(text) == 1
    assert instead != text
