"""Write a run for readers: everything as JSON, the tables as Markdown, the charts as SVG and PNG."""

from __future__ import annotations

from pathlib import Path

from benchmarks.charts import draw_scale, draw_verification
from benchmarks.report import as_markdown, as_summary
from benchmarks.run import Run

# Between these lines of a page stands what the last run said.
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"


def publish(run: Run, folder: Path) -> None:
    """Write the files of a run.

    Args:
        run: What was measured.
        folder: Where `results.json`, `table.md` and the charts go. A page of the same name beside it gets the summary.
    """
    run.write(folder / "results.json")
    (folder / "table.md").write_text("# Results\n\n" + as_markdown(run), encoding="utf-8")
    draw_verification(run, folder / "chart", ("RS256-2048",))
    draw_verification(run, folder / "algorithms", ("RS256-4096", "ES256", "EdDSA"))
    draw_scale(run, folder / "scale")
    page = folder.with_suffix(".md")
    if page.exists():
        text = page.read_text(encoding="utf-8")
        if BEGIN in text and END in text:
            page.write_text(replace_between(text, as_summary(run)), encoding="utf-8")


def replace_between(page: str, summary: str) -> str:
    """The page, with another summary between its two marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{summary}\n{END}{after}"
