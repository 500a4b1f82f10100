package runner

import (
	"bytes"
	"io"
	"net/http"
	"net/url"

	"github.com/haechi-dev/haechi/base/remote"
)

// Exchange answers builds at http://haechi.internal/: they may change their token
// for credentials at the server, and reach nothing else of it.
func Exchange(c *remote.Client) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
		form, wrong := url.ParseQuery(string(body))
		if err != nil || wrong != nil || r.Method != http.MethodPost || r.URL.Path != "/" || form.Get("Action") != "AssumeRoleWithWebIdentity" {
			http.Error(w, "builds can change their token for credentials here (AssumeRoleWithWebIdentity), and nothing else", http.StatusForbidden)
			return
		}
		on, err := http.NewRequestWithContext(r.Context(), http.MethodPost, c.Endpoint, bytes.NewReader(body))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		on.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
		answer, err := c.HTTP.Do(on)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer answer.Body.Close()
		w.Header().Set("Content-Type", answer.Header.Get("Content-Type"))
		w.WriteHeader(answer.StatusCode)
		_, _ = io.Copy(w, io.LimitReader(answer.Body, 1<<20)) // a build that hung up does not hear it
	})
}
