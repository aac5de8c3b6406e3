// Builds dist/: a module, a plain script, and the licence; fails when either has grown too large for a page.
import { copyFileSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { buildSync } from "esbuild";

const MOST_BYTES = 3000;

// What only our own modules say to each other, and no browser, page or collector.
const internal = /^(offset|found|final|settle|take|put|names|write|pause|forgive|leave)$/;
const shared = { bundle: true, minify: true, target: "es2020", mangleProps: internal };
const builds = [
    { entryPoints: ["src/index.ts"], format: "esm", outfile: "dist/analytics-batcher.js" },
    { entryPoints: ["src/script.ts"], format: "iife", outfile: "dist/analytics-batcher.script.js" },
];

for (const build of builds) {
    buildSync({ ...shared, ...build });
    const bytes = gzipSync(readFileSync(build.outfile), { level: 9 }).length;
    console.log(`${build.outfile}: ${bytes} bytes gzipped`);
    if (bytes >= MOST_BYTES) {
        console.error(`${build.outfile}: expected less than ${MOST_BYTES} bytes gzipped, got ${bytes}: make it smaller`);
        process.exitCode = 1;
    }
}
copyFileSync("../../LICENSE", "dist/LICENSE");
