/** For pages without modules: <script src="…"> and then AnalyticsBatcher.createBatcher(…). */

import { createBatcher } from "./index.js";

Object.assign(window, { AnalyticsBatcher: { createBatcher } });
