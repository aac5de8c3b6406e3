// Builds dist/: a module, a plain script, and the licence; fails when either has grown too large for a page.
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { buildSync } from "esbuild";
import { minify } from "terser";

const MOST_BYTES = 3000;

// What only our own modules say to each other, and no browser, page or collector.
const internal = /^(offset|found|final|settle|take|put|names|write|pause|forgive|leave)$/;
const builds = [
    { entryPoints: ["src/index.ts"], format: "esm", outfile: "dist/analytics-batcher.js" },
    { entryPoints: ["src/script.ts"], format: "iife", outfile: "dist/analytics-batcher.script.js" },
];

for (const build of builds) {
    buildSync({ ...build, bundle: true, minify: true, target: "es2020", mangleProps: internal });
    const options = { ecma: 2020, module: build.format === "esm", toplevel: true, compress: { passes: 3 } };
    const { code } = await minify(readFileSync(build.outfile, "utf8"), options);
    writeFileSync(build.outfile, code);
    const bytes = gzipSync(code, { level: 9 }).length;
    console.log(`${build.outfile}: ${bytes} bytes gzipped`);
    if (bytes >= MOST_BYTES) {
        console.error(`${build.outfile}: expected less than ${MOST_BYTES} bytes, got ${bytes}: make it smaller`);
        process.exitCode = 1;
    }
}
copyFileSync("../../LICENSE", "dist/LICENSE");
