"use strict";

document.body.style.margin = "0";

// The search would run in a worker made of a blob, which the policy of this page refuses.
Redoc.init(
  "/openapi.json",
  { disableSearch: true, hideDownloadButton: false, nativeScrollbars: true },
  document.getElementById("redoc"),
);
