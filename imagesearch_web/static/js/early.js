// Asks for the reader's language as soon as it can, while the rest of the page is still coming.

import { ready } from "./i18n.js";

void ready();
