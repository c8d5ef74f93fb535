// Package server owns the HTTP face of the control plane: the handlers of
// api/v1, from which the OpenAPI document is generated, authentication, log
// streaming, metrics and health.
//
// It refuses to decide and to change state by itself: requests that change a
// run go through reconcile, the others read the store.
package server
