"""`make bench`, the end: puts what was measured into docs/performance.md, between its two marks."""

import json

import measure

PAGE = measure.HERE.parent / "docs" / "performance.md"
BEGIN, END = "<!-- begin: written by bench/report.py -->", "<!-- end -->"
AT_LEAST = {
    "pack_small_vs_straightforward": 45,
    "pack_small_vs_zipstream": 14,
    "pack_small_cpu_vs_straightforward": 35,
    "pack_large_vs_straightforward": 12,
    "pack_large_vs_zipstream": 7,
    "pack_small_files_per_second_20ms": 2500,
    "endpoint_vs_bare_get": 1,
    "restore_1000_vs_remotezip": 30,
    "restore_1000_vs_whole_archive": 5,
    "restore_20_vs_whole_archive": 40,
    "restore_folder_vs_whole_read": 0.8,
}
AT_MOST = {
    "pack_small_cpu_vs_bare_get": 1.6,
    "pack_small_cpu_vs_memory": 5,
    "pack_large_cpu_vs_memory": 1.6,
    "pack_peak_rss_mb": 300,
    "plan_million_growth_mb": 60,
    "index_overhead_ratio": 0.15,
    "restore_bytes_overhead": 1.2,
}


def _verdict(name: str, value: float) -> tuple[str, str]:
    if name in AT_LEAST:
        return f">= {AT_LEAST[name]:,}", "yes" if value >= AT_LEAST[name] else "**no**"
    if name in AT_MOST:
        return f"<= {AT_MOST[name]:,}", "yes" if value <= AT_MOST[name] else "**no**"
    return "", ""


def main() -> None:
    results = json.loads(measure.RESULTS.read_text())
    lines = ["| figure | target | median (least to most) | met |", "|---|---|---|---|"]
    for name in sorted(name for name in results if not name.endswith("_range")):
        low, high = results[f"{name}_range"]
        target, met = _verdict(name, results[name])
        lines.append(f"| `{name}` | {target} | {measure.Figure(results[name], low, high)} | {met} |")
    tables = [path.read_text().strip() for path in sorted(measure.TABLES.glob("*.md"))]
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n" + "\n\n".join(("\n".join(lines), *tables)) + f"\n{END}{after}")
    print(f"{PAGE.relative_to(measure.HERE.parent)} has the figures of {measure.RESULTS.name}")


if __name__ == "__main__":
    main()
