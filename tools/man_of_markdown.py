#!/usr/bin/env python3
"""Makes the source of a manual page (scdoc) of a document of docs/, so that there is one text.

    man_of_markdown.py NAME SECTION "WHAT IT IS" < docs/NAME.md > NAME.SECTION.scd

Understood is what those documents use: headings, paragraphs, lists, code blocks, tables whose first column is the term
that the others explain, `code`, **bold** and [links](...), of which the text stays.
"""
import re
import sys


def escaped(text):
    return re.sub(r"([\\*_`~<>\[\]#])", r"\\\1", text)


def inline(text):
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    out = []
    for i, part in enumerate(re.split(r"`([^`]*)`", text)):
        if i % 2:
            out.append(f"*{escaped(part)}*" if part.strip() else part)
        else:
            out.append("".join(f"*{escaped(p)}*" if j % 2 else escaped(p)
                               for j, p in enumerate(re.split(r"\*\*([^*]*)\*\*", part))))
    return "".join(out)


def cells_of(line):
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def table(lines):
    rows = [cells_of(line) for line in lines]
    for cells in rows[2:]:
        yield inline(cells[0])
        rest = "; ".join(inline(cell) for cell in cells[1:] if cell)
        yield from [f"\t{rest}", ""] if rest else [""]


def blocks(lines):
    i = 0
    while i < len(lines):
        line = lines[i]
        if line.startswith("```"):
            end = next(j for j in range(i + 1, len(lines)) if lines[j].startswith("```"))
            yield from ["```", *lines[i + 1:end], "```", ""]
            i = end + 1
        elif line.startswith("|"):
            end = next((j for j in range(i, len(lines)) if not lines[j].startswith("|")), len(lines))
            yield from table(lines[i:end])
            i = end
        elif line.startswith("#"):
            level, text = re.fullmatch(r"(#+) (.*)", line).groups()
            yield from ["#" * max(1, len(level) - 1) + " " + (escaped(text).upper() if len(level) == 2 else escaped(text)), ""]
            i += 1
        elif line.startswith("* "):
            item = [line[2:]]
            while i + 1 < len(lines) and lines[i + 1].startswith("  "):
                i += 1
                item.append(lines[i].strip())
            yield from ["- " + inline(" ".join(item)), *([""] if i + 1 < len(lines) and not lines[i + 1] else [])]
            i += 1
        elif line.strip():
            end = next((j for j in range(i, len(lines)) if not lines[j].strip() or lines[j][0] in "|#`*" and j > i
                        and re.match(r"\||#+ |```|\* ", lines[j])), len(lines))
            yield from [inline(" ".join(lines[i:end])), ""]
            i = end
        else:
            i += 1


def main():
    name, section, what = sys.argv[1:]
    lines = sys.stdin.read().splitlines()
    body = lines[next(i for i, line in enumerate(lines) if line.startswith("# ")) + 1:]
    print(f'{name}({section}) "" "softxe manual"\n\n# NAME\n\n{name} - {what}\n\n# DESCRIPTION\n')
    text = "\n".join(blocks(body))
    print(re.sub(r"\n{3,}", "\n\n", text).rstrip())
    print("\n# SEE ALSO\n\n*softxe*(1)")


if __name__ == "__main__":
    main()
