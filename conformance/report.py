"""Questions to the JSON that `softxe run --report` writes.

A pass of a test program says that data arrived; whether pages moved to get there only the report
knows. An expression compares a sum of counters with a number:

    total.svm_*_migrate_count > 0
    total.evictions + total.unmap_events >= 2

A path is keys joined by dots; each key may hold * and ? and then stands for the sum of what matches.
A path that matches nothing is an error: a counter that was renamed must not pass for zero.
"""
import fnmatch
import json
import operator
import re

OPERATORS = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le,
             "==": operator.eq, "!=": operator.ne}
EXPRESSION = re.compile(r"^(.+?)\s*(>=|<=|==|!=|>|<)\s*(\d+)$")


def _matches(node, keys):
    if not keys:
        return [node] if isinstance(node, (int, float)) and not isinstance(node, bool) else []
    if isinstance(node, dict):
        children = [value for key, value in node.items() if fnmatch.fnmatchcase(key, keys[0])]
    elif isinstance(node, list):
        children = [value for i, value in enumerate(node) if fnmatch.fnmatchcase(str(i), keys[0])]
    else:
        children = []
    return [found for child in children for found in _matches(child, keys[1:])]


def check(path, expression):
    """None when the expression holds, else one line that says why not."""
    parsed = EXPRESSION.match(expression.strip())
    if not parsed:
        return f"not an expression: {expression}"
    try:
        with open(path, encoding="utf-8") as file:
            report = json.load(file)
    except (OSError, ValueError) as error:
        return f"no report to check `{expression}` in: {error}"
    total = 0
    for term in parsed.group(1).split("+"):
        found = _matches(report, term.strip().split("."))
        if not found:
            return f"the report has no counter {term.strip()}"
        total += sum(found)
    if OPERATORS[parsed.group(2)](total, int(parsed.group(3))):
        return None
    return f"`{expression}` does not hold: it is {total:g}"
