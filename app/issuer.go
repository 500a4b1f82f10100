package app

import (
	"net/http"

	"github.com/go-json-experiment/json"
)

// issuer is the address under which tokens are signed here: how people reach
// the server, which whoever trusts the tokens has to reach, too.
func (a *App) issuer() string { return a.page("") }

// discovery is what OpenID Connect wants of whoever signs tokens: where its keys are.
func (a *App) discovery(w http.ResponseWriter, _ *http.Request) {
	issuer := a.issuer()
	text, err := json.Marshal(map[string]any{
		"issuer": issuer, "jwks_uri": issuer + "/.well-known/jwks.json", "response_types_supported": []string{"id_token"},
		"subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"ES256"}, "claims_supported": []string{"sub", "aud", "exp", "iat", "iss", "jti", "nbf", "repository", "ref", "commit", "run"},
	}, json.Deterministic(true))
	a.public(w, text, err)
}

// jwks are the public keys of the tokens that are signed here.
func (a *App) jwks(w http.ResponseWriter, r *http.Request) {
	text, err := a.Access.JWKS(r.Context())
	a.public(w, text, err)
}

func (a *App) public(w http.ResponseWriter, text []byte, err error) {
	if err != nil {
		a.log.Error("the keys of tokens cannot be told", "error", err)
		http.Error(w, "the server's log says why", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	_, _ = w.Write(text) // whoever hung up does not hear it
}
