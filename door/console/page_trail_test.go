package console_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/base/db"
)

// What somebody does at the console stands on the page of the trail, without its secrets, and the
// page says whether somebody touched the records.
func TestTrailPage(t *testing.T) {
	h := home(t)
	p := h.admin()
	if a := p.post("/users/create", "user", "ada"); a.status != http.StatusSeeOther {
		t.Fatal(a.status)
	}
	if a := p.post("/users/password", "user", "ada", "password", "correct horse battery"); a.status != http.StatusSeeOther {
		t.Fatal(a.status)
	}
	body := p.get("/trail?sort=changes&action=iam:*").body
	for _, want := range []string{"CreateUser", "UpdateLoginProfile", "HIDDEN_DUE_TO_SECURITY_REASONS", "&#34;user&#34;: &#34;ada&#34;"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not hold %s", want)
		}
	}
	if strings.Contains(body, "correct horse") {
		t.Error("the page shows a password")
	}
	if a := p.post("/trail/verify"); a.status != http.StatusOK || !strings.Contains(a.body, "Nobody touched the trail") {
		t.Errorf("%d %.500s", a.status, a.body)
	}
	err := h.db.Write(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec("DELETE FROM audit_blocks WHERE seq = 2")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if a := p.post("/trail/verify"); !strings.Contains(a.body, "1 block is missing") {
		t.Errorf("%d %.500s", a.status, a.body)
	}
}
