"""A comparison as JUnit XML, which CI systems can show: a test case a cell.

What is slower failed, what can't be told or was left out is skipped. There is no standard: these
are the elements that pytest's own files have (its junit_family xunit2, after Jenkins's schema).
"""

from xml.etree import ElementTree as ET

from bench.data.records import Verdict
from bench.gate.compare import Comparison
from bench.gate.report import Asked, ordered, said, sentence, why
from bench.terminal.text import plain


def xml(comparison: Comparison, asked: Asked) -> str:
    """The text of the file."""
    suites = ET.Element("testsuites")
    suite = ET.SubElement(suites, "testsuite", name="gate")
    for verdict in ordered(comparison.verdicts):
        case = _case(suite, verdict.kernel, verdict.cell)
        if untold := _untold(comparison, verdict):
            ET.SubElement(case, "skipped", message=plain(untold))
        elif verdict.says == "slower" and not verdict.accepted:
            ET.SubElement(case, "failure", message=plain(f"{said(verdict)}: {why(verdict)}"))
        elif verdict.accepted:
            ET.SubElement(case, "system-out").text = plain(f"accepted: {verdict.accepted}")
    for one in comparison.left_out:
        case = _case(suite, one.cell.kernel, one.cell.label)
        ET.SubElement(case, "skipped", message=plain(f"{one.status}: {one.reason}"))
    for name, what in (("tests", "testcase"), ("failures", "failure"), ("skipped", "skipped")):
        suite.set(name, str(len(suite.findall(f".//{what}"))))
    suite.set("errors", "0")
    ET.SubElement(suite, "system-out").text = plain(
        f"{sentence(comparison, asked.slower_than)}; {asked.words()}"
    )
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: ET.Element, kernel: str, cell: str) -> ET.Element:
    return ET.SubElement(suite, "testcase", classname=plain(f"gate.{kernel}"), name=plain(cell))


def _untold(comparison: Comparison, verdict: Verdict) -> str | None:
    if comparison.problem:
        return f"can't tell: {comparison.problem}"
    return f"can't tell: {why(verdict)}" if verdict.says == "can't tell" else None
