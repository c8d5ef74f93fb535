package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"strings"

	v1 "github.com/switchyard-ai/switchyard/api/v1"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

// RequireToken lets only requests with the bearer token through, and /healthz.
func RequireToken(token string, next http.Handler) http.Handler {
	want := sha256.Sum256([]byte(token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		got := sha256.Sum256([]byte(given))
		if r.URL.Path != "/healthz" && (!bearer || subtle.ConstantTimeCompare(got[:], want[:]) != 1) {
			refuse(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func refuse(w http.ResponseWriter) {
	detail := "the token is missing or wrong: give --token or YARD_TOKEN the content of the file `token` in the server's state directory"
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("WWW-Authenticate", "Bearer")
	w.WriteHeader(http.StatusUnauthorized)
	_ = json.NewEncoder(w).Encode(v1.Problem{ // the client is gone if this fails
		Title: "Unauthorized", Status: http.StatusUnauthorized, Detail: detail, Kind: string(fault.Invalid),
	})
}
