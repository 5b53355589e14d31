"""The notebook of all lessons is what its generator builds."""

import pytest
from nbformat import v4

from tools import consolidate, notebooks

BUILT = consolidate.build()


def test_the_committed_notebook_is_what_the_lessons_make():
    committed = notebooks.read(notebooks.CONSOLIDATED)
    kept = [(c.cell_type, c.source, notebooks.tags(c)) for c in committed.cells]
    assert kept == [(c.cell_type, c.source, notebooks.tags(c)) for c in BUILT.cells]


def test_seminars_come_in_their_order_and_competitions_close_the_part():
    folders = [f"{p.parts[-3]}/{p.parts[-2]}" for p in consolidate.lessons()]
    part1 = [name for name in dict.fromkeys(folders) if name.startswith("Part1")]
    wanted = [f"Seminar0{number}" for number in range(1, 9)] + ["Competition01", "Competition02"]
    assert part1 == [f"Part1/{name}" for name in wanted]
    assert folders[-1] == "Part2/Seminar08"


def test_setup_stands_once_and_every_lesson_is_there():
    sources = [cell.source for cell in BUILT.cells]
    assert sources.count(notebooks.bootstrap()) == 1
    for path in consolidate.lessons():
        assert sum(source.startswith(f"## {consolidate.title(path)}\n") for source in sources) == 1


def test_no_chapter_has_a_heading_of_the_first_level_or_a_badge():
    for cell in BUILT.cells[1:]:
        if cell.cell_type == "markdown":
            assert not cell.source.startswith("# ")
            assert notebooks.BADGE not in cell.source


@pytest.mark.parametrize("counts", [(1, 2, 3), (1, 3, 2), (2, 1, None)])
def test_cells_that_ran_out_of_order_lower_the_share(monkeypatch, counts):
    cells = [v4.new_code_cell("1", execution_count=count) for count in counts]
    monkeypatch.setattr(consolidate.run, "execute", lambda path: v4.new_notebook(cells=cells))
    share = consolidate.measure(0, "full")["cells_executed_in_order_share"]
    assert share == sum(count == n for n, count in enumerate(counts, 1)) / 3
