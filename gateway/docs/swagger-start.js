"use strict";

// No validator badge: it would send the document to a service on the internet. A query string of
// ours changes nothing (`queryConfigEnabled` is off), so nobody can make a link that shows another
// document here.
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
  queryConfigEnabled: false,
  persistAuthorization: false,
  displayRequestDuration: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
});
