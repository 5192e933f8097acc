"""What the documents say of the code must be what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob('*.md'), *(ROOT / 'docs').rglob('*.md')])


def table(document: Path, heading: str) -> dict[str, list[str]]:
    """The rows of the table right below `heading`, by the names in their first column."""
    section = document.read_text().split(f'\n{heading}\n', 1)[1].split('\n#', 1)[0]
    rows = [line.strip('|').split('|') for line in section.splitlines() if line.startswith('| `')]
    return {row[0].strip().strip('`'): [cell.strip() for cell in row[1:]] for row in rows}


@pytest.mark.parametrize('document', DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_to_files_and_headings_that_exist(document):
    for target in re.findall(r'\]\(([^)#\s]*)(?:#([^)\s]+))?\)', document.read_text()):
        path, heading = target
        if '://' in path:
            continue
        linked = (document.parent / path).resolve() if path else document
        assert linked.exists(), f'{document.name} links to {path}, which does not exist'
        if heading:
            headings = re.findall(r'^#+ (.+)$', linked.read_text(), re.MULTILINE)
            assert heading in {title.lower().replace(' ', '-') for title in headings}


def test_the_table_of_parameters_is_the_one_of_the_node():
    parameters = pytest.importorskip('msdesis_ros.ros.parameters', reason='needs ROS')
    documented = table(ROOT / 'docs' / 'topics.md', '## Parameters')
    specs = {**parameters.SPECS, 'autostart': parameters.AUTOSTART}
    assert set(documented) == set(specs)
    for name, (default, meaning) in documented.items():
        spec = specs[name]
        shown = str(spec.default).lower() if isinstance(spec.default, bool) else str(spec.default)
        assert default == (f'`{shown}`' if shown else '(empty)'), name
        assert meaning.startswith('*live*') == spec.live, name
        if spec.high is not None and spec.high < 1000:
            assert f'{spec.high:g}' in meaning, f'{name}: the upper end of its range'


def test_the_table_of_the_player_is_the_one_of_its_parameters():
    parameters = pytest.importorskip('msdesis_ros.ros.player_parameters', reason='needs ROS')
    documented = table(ROOT / 'docs' / 'topics.md', '### Parameters of the player')
    assert list(documented) == list(parameters.SPECS)
    for name, (default, meaning) in documented.items():
        spec = parameters.SPECS[name]
        shown = str(spec.default).lower() if isinstance(spec.default, bool) else str(spec.default)
        assert default == (f'`{shown}`' if shown else '(empty)'), name
        if spec.high is not None and 1 <= spec.high <= 1e5 and spec.default != spec.high:
            assert f'{spec.high:.0f}' in meaning or name == 'baseline_mm', name


def test_the_tables_of_topics_name_what_the_node_publishes():
    outputs = pytest.importorskip('msdesis_ros.ros.outputs', reason='needs ROS')
    document = ROOT / 'docs' / 'topics.md'
    documented = table(document, '## Outputs')
    ours = {name: kind for name, (kind, *_) in documented.items() if not name.startswith('/')}
    published = {name: kind.__name__ for name, kind in outputs.TOPICS.items()}
    # Advertised only with a model that has it; the text below the table says so.
    assert published.pop('uncertainty') == 'Image' and '`uncertainty` (' in document.read_text()
    assert {name: kind.strip('`').split('/')[1] for name, kind in ours.items()} == published
    readme = (ROOT / 'README.md').read_text()
    for name in published:
        assert f'| out | `{name}` |' in readme


def test_the_reasons_of_a_verdict_are_all_explained():
    quality = (ROOT / 'msdesis_ros' / 'core' / 'quality.py').read_text()
    diagnostics = (ROOT / 'msdesis_ros' / 'ros' / 'diagnostics.py').read_text()
    codes = re.findall(r"Reason\(\s*f?'([a-z_]+)(\{name\})?'", quality + diagnostics)
    assert len(codes) >= 6
    text = (ROOT / 'docs' / 'topics.md').read_text()
    for stem, by_side in codes:
        for code in (f'{stem}left', f'{stem}right') if by_side else (stem,):
            assert f'`{code}`' in text, code


def test_the_causes_of_drops_are_all_explained():
    diagnostics = pytest.importorskip('msdesis_ros.ros.diagnostics', reason='needs ROS')
    counted = set(diagnostics.PAIRING_DROPS)
    for source in (ROOT / 'msdesis_ros' / 'ros').glob('*.py'):
        for call in re.findall(r'\.drop\((.*)', source.read_text()):
            counted |= set(re.findall(r"'([a-z_]+)'", call))
    assert 'overload' in counted and 'bad_image' in counted, 'the search found nothing'
    text = (ROOT / 'docs' / 'topics.md').read_text().split('| cause |')[1].split('\n\n')[0]
    assert counted == set(re.findall(r'`([a-z_]+)`', text))


def test_what_pip_has_to_bring_on_a_robot_is_what_setup_py_requires_beyond_apt():
    from packaging.requirements import Requirement

    readme = (ROOT / 'README.md').read_text()
    listed = re.search(r'^pip install (.+)$', readme, re.MULTILINE).group(1)
    shown = {Requirement(text.strip("'")).name for text in listed.split()}
    setup = (ROOT / 'setup.py').read_text().split('REQUIREMENTS = [')[1].split(']')[0]
    required = {
        Requirement(text).name for text in re.findall(r"^    '(.+)',$", setup, re.MULTILINE)
    }
    assert shown == required - {'opencv-python-headless', 'PyYAML'}
