"""Write the reference pages: `api/client.md`, `api/services.md`, the commands of `operations/reference.md`, the state
diagrams of the rooms' `DESIGN.md`, and the REST door's OpenAPI document.

`make docs` runs it, `--check` only compares. The pages come from docstrings, from comments of `proto/`, from the
command line and from the tables of states. It needs nothing but what the cluster needs anyway.
"""

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import click

import lockstep
from lockstep.edge.rest import openapi
from lockstep.ops.cli.main import cli

ROOT = Path(__file__).resolve().parent.parent
STAGE = re.compile(r"\d{4}-\d{4} ")
"""How a comment begins that heads the codes of one stage, in Python and in `proto/`."""
BEGIN = "<!-- written by docs/generate.py: begin -->\n"
END = "<!-- written by docs/generate.py: end -->\n"
NOTE = "<!-- Written by docs/generate.py (`make docs`) from {}. Change it there. -->\n"
WIDTH = 110

CHAPTERS = {
    "Clients": ("sync.Client", "aio.AsyncClient", "tls"),
    "Sessions": ("sync.Session", "session.AsyncSession", "delivery", "session_events"),
    "Orders": ("rows", "orders"),
    "Results": ("values", "reference"),
    "Columns": ("columns",),
    "Market data": ("subscription", "market_data", "book"),
    "Feeds": ("feeds", "feed_reader", "feed_book", "feed_machine"),
    "Ledger": ("ledger",),
    "Alerts": ("alerts",),
    "Administration": ("admin",),
    "Errors": ("errors",),
    "Words": ("enums", "codes"),
}
"""Chapters of the client's page, with the modules (or single names) whose public names they hold."""

SPECIAL = ("__iter__", "__aiter__", "__await__", "__len__")
SECTIONS = {"Args": "Arguments", "Raises": "Raises", "Returns": "Returns", "Yields": "Yields"}

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(slots=True)
class Page:
    """The lines of a page, and what its sources lack."""

    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def add(self, *lines: str) -> None:
        """Append lines, and an empty one."""
        self.lines += [*lines, ""]

    def text(self) -> str:
        """All of it, with one line break at the end."""
        return "\n".join(self.lines).rstrip() + "\n"


# ---- the client ----------------------------------------------------------------------------------------------------


def client_page() -> Page:
    """Every public name of `lockstep`, chapter by chapter."""
    page = Page([NOTE.format("the docstrings of clients/python/lockstep").rstrip()])
    page.add("# Client reference")
    page.add(
        "Every public name of the Python client, `import lockstep`. The",
        "[client's README](../../clients/python/README.md) introduces them;",
        "[client-protocol](../client-protocol.md) is the contract below them.",
    )
    chapters = {chapter: list(_names_of(homes)) for chapter, homes in CHAPTERS.items()}
    missing = set(lockstep.__all__) - {name for names in chapters.values() for name in names}
    page.problems += [f"{name} stands in no chapter" for name in sorted(missing)]
    for chapter, names in chapters.items():
        page.add(f"* [{chapter}](#{anchor(chapter)}): " + ", ".join(f"[`{name}`](#{anchor(name)})" for name in names))
        page.lines.pop()
    page.add()
    for chapter, names in chapters.items():
        page.add(f"## {chapter}")
        for name in names:
            _add_name(page, name)
    linked = _link_names(page.text(), set(re.findall(r"^#{3,4} (\S+)$", page.text(), flags=re.M)))
    page.lines = linked.splitlines()
    return page


def _names_of(homes: Iterable[str]) -> Iterator[str]:
    for home in homes:
        module, _, single = home.partition(".")
        for name in _nodes_of(import_module(f"lockstep.{module}")):
            if name in lockstep.__all__ and (not single or single == name):
                yield name


def anchor(heading: str) -> str:
    """The anchor that a heading has."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def _link_names(text: str, known: set[str]) -> str:
    """Backticked names that have a heading of their own become links, outside of code blocks and headings."""

    def link(found: re.Match[str]) -> str:
        name = found[1].removeprefix("lockstep.")
        return f"[`{name}`](#{anchor(name)})" if name in known else found[0]

    lines, code = [], False
    for line in text.splitlines():
        code ^= line.startswith("```")
        plain = not code and not line.startswith(("#", "* ["))
        lines.append(re.sub(r"(?<!\[)`([A-Za-z_][\w.]*)`", link, line) if plain else line)
    return "\n".join(lines)


def _add_name(page: Page, name: str) -> None:
    value = getattr(lockstep, name)
    page.add(f"### {name}")
    if inspect.isclass(value):
        _add_class(page, name, value)
    else:
        node = _nodes_of(import_module(value.__module__))[name]
        assert isinstance(node, FunctionNode)
        _add_function(page, name, node)


def _nodes_of(source: object) -> dict[str, ast.stmt]:
    """Definitions in a module or class, by name."""
    text = textwrap.dedent(inspect.getsource(source))  # type: ignore[arg-type]
    tree = ast.parse(text)
    body = tree.body[0].body if inspect.isclass(source) and isinstance(tree.body[0], ast.ClassDef) else tree.body
    return {node.name: node for node in body if isinstance(node, FunctionNode | ast.ClassDef)}


def _add_class(page: Page, name: str, value: type) -> None:
    own = inspect.cleandoc(value.__dict__.get("__doc__") or "")
    if not own or own.startswith(f"{name}("):  # what dataclasses and named tuples write themselves
        page.problems.append(f"{name} has no docstring")
    methods: dict[str, FunctionNode] = {}
    for base in value.__mro__:
        if base.__module__.startswith("lockstep."):
            for method, node in _nodes_of(base).items():
                if isinstance(node, FunctionNode):
                    methods.setdefault(method, node)
    start = methods.get("__init__")
    bases = [base.__name__ for base in value.__bases__ if base.__name__ in lockstep.__all__]
    page.add(f"A kind of {', '.join(f'`{base}`' for base in bases)}.") if bases else None
    if start is not None:
        page.add("```python", _signature(name, start, returns=False), "```")
    page.add(render(own))
    if start is not None and (text := ast.get_docstring(start)):
        page.add(render(text))
    rows = list(_fields(value))
    if rows:
        page.add(*rows)
    for method, node in methods.items():
        if (not method.startswith("_") or method in SPECIAL) and not _is_abstract(node):
            page.add(f"#### {name}.{method}")
            _add_function(page, f"{name}.{method}", node)


def _is_abstract(node: FunctionNode) -> bool:
    return "abstractmethod" in map(ast.unparse, node.decorator_list)


def _add_function(page: Page, name: str, node: FunctionNode) -> None:
    text = ast.get_docstring(node)
    if not text:
        page.problems.append(f"{name} has no docstring")
    decorators = set(map(ast.unparse, node.decorator_list))
    if "property" in decorators:
        page.add("```python", f"{node.name}: {_type(node.returns) if node.returns else 'object'}", "```")
    else:
        kind = next((f"@{mark}\n" for mark in ("classmethod", "staticmethod") if mark in decorators), "")
        page.add("```python", kind + _signature(node.name, node), "```")
    page.add(render(text or ""))


def _signature(name: str, node: FunctionNode, *, returns: bool = True) -> str:
    """As it is written in the source, without `self`, on one line or one argument a line."""
    arguments = list(_arguments(node.args))
    if arguments and arguments[0] in ("self", "cls"):
        arguments.pop(0)
    start = ("async " if isinstance(node, ast.AsyncFunctionDef) else "") + name
    result = f" -> {_type(node.returns)}" if returns and node.returns else ""
    whole = f"{start}({', '.join(arguments)}){result}"
    if len(whole) <= WIDTH:
        return whole
    return f"{start}(\n" + "".join(f"    {argument},\n" for argument in arguments) + f"){result}"


def _type(annotation: ast.expr) -> str:
    """Without the quotes of a name that is defined further down."""
    return re.sub(r"'([\w.\[\]]+)'", r"\1", ast.unparse(annotation))


def _arguments(args: ast.arguments) -> Iterator[str]:
    """Each argument with its type and default, and the bare star."""
    plain = [*args.posonlyargs, *args.args]
    defaults: list[ast.expr | None] = [None] * (len(plain) - len(args.defaults)) + list(args.defaults)
    for part, default in zip(plain, defaults, strict=True):
        yield _argument(part, default)
    if args.vararg or args.kwonlyargs:
        yield f"*{_argument(args.vararg, None)}" if args.vararg else "*"
    for part, default in zip(args.kwonlyargs, args.kw_defaults, strict=True):
        yield _argument(part, default)
    if args.kwarg:
        yield f"**{_argument(args.kwarg, None)}"


def _argument(part: ast.arg, default: ast.expr | None) -> str:
    kind = f": {_type(part.annotation)}" if part.annotation else ""
    return part.arg + kind + (f" = {ast.unparse(default)}" if default is not None else "")


def _fields(value: type) -> Iterator[str]:
    """Bullets: fields with type, default and the text below them; members of enums with the comment above them.

    Those of bases that have no heading of their own come first.
    """
    for base in value.__bases__:
        if base.__module__.startswith("lockstep.") and base.__name__ not in lockstep.__all__:
            yield from _fields(base)
    source = textwrap.dedent(inspect.getsource(value))
    tree = ast.parse(source).body[0]
    assert isinstance(tree, ast.ClassDef)
    lines = source.splitlines()
    for node, after in zip(tree.body, [*tree.body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id[0] != "_":
            default = f" = {ast.unparse(node.value)}" if node.value is not None else ""
            text = ""
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                text = f": {_one_line(str(after.value.value))}"
            yield f"* `{node.target.id}: {_type(node.annotation)}{default}`{text}"
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id[0] != "_":
            above = lines[node.lineno - 2].strip().removeprefix("# ") if "# " in lines[node.lineno - 2] else ""
            if STAGE.match(above):
                yield f"* *{above}*"
            text = f": {above}" if above and not STAGE.match(above) and "generated by" not in above else ""
            yield f"* `{node.targets[0].id} = {ast.unparse(node.value)}`{text}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def render(docstring: str) -> str:
    """A docstring as Markdown: its sections become lists, its examples code."""
    out: list[str] = []
    section = ""
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(docstring)):
        head, _, rest = paragraph.partition("\n")
        section = head[:-1] if re.fullmatch(r"[A-Z][a-z]+:", head) else ""
        body = textwrap.dedent(rest) if section else paragraph
        if section == "Example":
            code = re.sub(r"^(>>>|\.\.\.) ?", "", body, flags=re.M)
            out.append(f"```python\n{code}\n```")
        elif section in ("Args", "Raises"):
            entries = re.split(r"\n(?! )", body)
            rows = [re.sub(r"^([\w, .*]+): ", lambda m: f"`{m[1]}`: ", _one_line(entry)) for entry in entries]
            out.append(f"{SECTIONS[section]}:\n\n" + "\n".join(f"* {row}" for row in rows))
        elif section:
            out.append(f"{SECTIONS.get(section, section)}: {_one_line(body)}")
        else:
            out.append(paragraph)
    return "\n\n".join(out)


# ---- the services --------------------------------------------------------------------------------------------------

RPC = re.compile(r"rpc (\w+)\((stream )?(\w+)\) returns \((stream )?(\w+)\);")
FIELD = re.compile(r"(?:(repeated|optional) )?(map<.+>|[\w.]+) (\w+) = (\d+);")
VALUE = re.compile(r"(\w+) = (\d+);")
OPENING = re.compile(r"(service|message|enum|oneof) (\w+) \{(\})?")


def services_page() -> Page:
    """Every service, message and enum of `proto/lockstep/v1`."""
    page = Page([NOTE.format("proto/lockstep/v1/*.proto").rstrip()])
    page.add("# Service reference")
    page.add(
        "Every service, message and enum of package `lockstep.v1`. What a client may rely on beyond them is in",
        "[client-protocol](../client-protocol.md).",
    )
    files = ("orders", "accounts", "market_data", "feed", "ledger", "alerts", "cluster", "replication", "common")
    types: dict[str, str] = {}
    for name in files:
        text = (ROOT / f"proto/lockstep/v1/{name}.proto").read_text()
        types |= {found[2]: anchor(found[2]) for found in OPENING.finditer(text) if found[1] in ("message", "enum")}
        page.add(f"* [{name}.proto](#{name}proto)")
        page.lines.pop()
    page.add()
    for name in files:
        text = (ROOT / f"proto/lockstep/v1/{name}.proto").read_text()
        head, _, body = text.partition("\nsyntax =")
        page.add(f"## {name}.proto")
        page.add(*(line.removeprefix("//").strip() for line in head.splitlines()))
        _Proto(page, types).read(body)
    return page


class _Proto:
    """Turns the text of one `.proto` file into Markdown. The files are ours: one thing a line, comments above it."""

    def __init__(self, page: Page, types: dict[str, str]) -> None:
        self._page = page
        self._types = types
        self._comment: list[str] = []
        self._blocks: list[tuple[str, str]] = []

    def read(self, text: str) -> None:
        for number, raw in enumerate(text.splitlines()):
            line = raw.strip()
            if STAGE.match(line.removeprefix("// ")):
                self._page.lines.append(f"* *{line.removeprefix('// ')}*")
            elif line.startswith("//"):
                if "generated" not in line:
                    self._comment.append(line[2:].strip())
            elif found := OPENING.fullmatch(line):
                self._open(found[1], found[2], empty=bool(found[3]))
            elif line == "}":
                self._blocks.pop()
                if not self._blocks:
                    self._page.add()
                self._comment.clear()
            elif not line or not self._blocks or line.startswith("reserved"):
                self._comment.clear()
            else:
                self._entry(line, number)
        assert not self._blocks, "an unbalanced block"

    def _taken(self) -> str:
        text = " ".join(self._comment)
        self._comment.clear()
        return text

    def _open(self, kind: str, name: str, *, empty: bool) -> None:
        if kind == "oneof":
            text = self._taken()
            self._page.lines.append(f"* one of (`{name}`){': ' + text if text else ''}:")
        else:
            self._page.add(f"### {name}")
            text = "\n".join(self._comment)
            self._comment.clear()
            if text or empty:
                self._page.add(*([text] if text else []), *(["No fields."] if empty else []))
        if not empty:
            self._blocks.append((kind, name))

    def _entry(self, line: str, number: int) -> None:
        kind, owner = self._blocks[-1]
        if kind == "service":
            found = RPC.fullmatch(line)
            assert found, f"{owner}: {line}"
            text = "\n".join(self._comment)
            self._comment.clear()
            if not text:
                self._page.problems.append(f"{owner}.{found[1]} has no comment")
            request = (found[2] or "") + self._linked(found[3])
            reply = (found[4] or "") + self._linked(found[5])
            self._page.add(f"#### {owner}.{found[1]}")
            self._page.add(f"{request} → {reply}")
            self._page.add(text)
            return
        found = VALUE.fullmatch(line) if kind == "enum" else FIELD.fullmatch(line)
        assert found, f"{owner}, line {number}: {line}"
        text = self._taken()
        note = f": {text}" if text else ""
        indent = "  " if kind == "oneof" else ""
        if kind == "enum":
            self._page.lines.append(f"* `{found[1]} = {found[2]}`{note}")
        else:
            plural = f"{found[1]} " if found[1] else ""
            self._page.lines.append(f"{indent}* `{found[3]}` ({plural}{self._linked(found[2])}, {found[4]}){note}")

    def _linked(self, name: str) -> str:
        return f"[{name}](#{self._types[name]})" if name in self._types else name


# ---- the command line ----------------------------------------------------------------------------------------------


def commands_table() -> Page:
    """Every command with its first sentence and its options."""
    page = Page(["| command | does | options |", "| --- | --- | --- |"])
    for path, command in _leaves(cli, ()):
        text = command.get_short_help_str(200)
        if not text:
            page.problems.append(f"lockstep {' '.join(path)} has no help")
        arguments = [p for p in command.params if isinstance(p, click.Argument)]
        names = " ".join((p.metavar or p.human_readable_name).upper() for p in arguments)
        pairs = [(p.opts, p.secondary_opts) for p in command.params if isinstance(p, click.Option)]
        options = ", ".join("/".join(f"`{max(names, key=len)}`" for names in pair if names) for pair in pairs)
        shown = f"{' '.join(path)} {names}".strip().replace("|", "\\|")
        page.lines.append(f"| `{shown}` | {text} | {options} |")
    return page


def _leaves(group: click.Group, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from _leaves(command, (*path, name))
        else:
            yield (*path, name), command


# ---- states --------------------------------------------------------------------------------------------------------

TABLES = {
    "sequencer/DESIGN.md": (("", "sequencer.states.TRANSITIONS", "CANDIDATE"),),
    "replica/DESIGN.md": (("", "replica.states.TRANSITIONS", "COMPARING"),),
    "edge/DESIGN.md": (("", "edge.soup.connection.MOVES", "GREETING"), ("FIX:", "edge.fix.values.MOVES", "GREETING")),
    "gateway/DESIGN.md": (
        ("How a life begins:", "gateway.states.BEGINNINGS", "PAUSE"),
        ("The way to the sequencer:", "gateway.states.OFFICES", "VACANT"),
        ("The way back:", "runtime.following.FOLLOWINGS", "IN_STEP"),
        ("A stream, from its Hello to live reports:", "gateway.states.RESUMINGS", "NEW"),
        ("A single call, to its outcome:", "gateway.states.CALLINGS", "NEW"),
    ),
    "clients/DESIGN.md": (("", "session_states.TRANSITIONS", "NEW"),),
    "marketdata/DESIGN.md": (("", "marketdata.feed_beginning.BEGINNINGS", "PAUSE"),),
}
"""By page: the tables of states that it shows, each with a heading and the first state."""


def diagrams(tables: Iterable[tuple[str, str, str]]) -> str:
    """The tables as state diagrams."""
    page = Page()
    for heading, place, first in tables:
        module, _, name = place.rpartition(".")
        rows = getattr(import_module(f"lockstep.{module}"), name)
        ways: dict[tuple[str, str], list[str]] = {}
        for (state, occasion), target in rows.items():
            ways.setdefault((state.name, target.name), []).append(occasion.value)
        page.add(heading) if heading else None
        page.lines += ["```mermaid", "stateDiagram-v2", f"    [*] --> {first}"]
        page.lines += [f"    {one} --> {other}: {' / '.join(names)}" for (one, other), names in ways.items()]
        page.add("```")
    return page.text()


# ---- pages and files -----------------------------------------------------------------------------------------------


def pages() -> tuple[dict[Path, str], list[str]]:
    """What each file should hold, and what the sources lack."""
    client, services, commands = client_page(), services_page(), commands_table()
    reference = ROOT / "docs/operations/reference.md"
    protos = sorted((ROOT / "proto/lockstep/v1").glob("*.proto"))
    files = {
        ROOT / "docs/api/client.md": client.text(),
        ROOT / "docs/api/services.md": services.text(),
        reference: _between_marks(reference, commands.text()),
        ROOT / "edge/rest/openapi.json": openapi.text_of(map(Path.read_text, protos), version("lockstep-cluster")),
    }
    for name, tables in TABLES.items():
        files[ROOT / name] = _between_marks(ROOT / name, diagrams(tables))
    return files, [*client.problems, *services.problems, *commands.problems]


def _between_marks(path: Path, text: str) -> str:
    before, _, rest = path.read_text().partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise SystemExit(f"{path} has lost its marks")
    return f"{before}{BEGIN}\n{text}\n{END}{after}"


def main() -> None:
    """Write the pages, or with `--check` say which of them are not current."""
    files, problems = pages()
    for problem in problems:
        click.echo(f"docs: {problem}", err=True)
    for path, text in files.items():
        if "--check" not in sys.argv[1:]:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            problems.append(str(path))
            click.echo(f"docs: {path.relative_to(ROOT)} is not current; run 'make docs'", err=True)
    if problems:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
