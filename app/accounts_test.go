package app_test

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/door/console"
	"github.com/haechi-dev/haechi/keeper/hub"
)

// A snapshot that is brought to the console becomes findings in the hub, once,
// which lead to their place in the picture, and the picture leads to them.
func TestSnapshotBecomesFindings(t *testing.T) {
	h := build(t)
	session, err := h.Access.SignIn(t.Context(), "admin", h.admin.Password)
	must(t, err)
	text, err := os.ReadFile(filepath.Join("..", "lang", "iam", "account", "testdata", "shop.json"))
	must(t, err)
	bring := func() {
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		part, err := w.CreateFormFile("snapshot", "shop.json")
		must(t, err)
		_, err = part.Write(text)
		must(t, err)
		must(t, w.Close())
		r := request(t, http.MethodPost, h.url+"/permissions/snapshot", body.String())
		r.Header.Set("Content-Type", w.FormDataContentType())
		r.AddCookie(&http.Cookie{Name: "haechi_session", Value: session.Reveal()})
		if status, _, text := do(t, r); status != http.StatusSeeOther {
			t.Fatalf("%d %s", status, text)
		}
	}
	get := func(path string) string {
		r := request(t, http.MethodGet, h.url+path, "")
		r.Header.Set("Accept", "text/html")
		r.AddCookie(&http.Cookie{Name: "haechi_session", Value: session.Reveal()})
		_, _, text := do(t, r)
		return text
	}
	bring()
	page, err := h.Hub.Find(t.Context(), hub.Query{Filters: hub.Filters{"GeneratorId": hub.Is("haechi/iam/escalation")}})
	must(t, err)
	if len(page.Findings) == 0 {
		t.Fatal("no finding of an escalation")
	}
	bring()
	again, err := h.Hub.Find(t.Context(), hub.Query{Filters: hub.Filters{"GeneratorId": hub.Is("haechi/iam/escalation")}})
	must(t, err)
	if len(again.Findings) != len(page.Findings) {
		t.Errorf("%d findings, and %d the second time", len(page.Findings), len(again.Findings))
	}
	f := &page.Findings[0]
	path := console.FindingPath(f)
	if body := get(path); !strings.Contains(body, "/permissions/graph?account=111122223333&amp;focus=") {
		t.Error("the finding does not lead to the picture")
	}
	if body := get("/permissions/graph?account=111122223333"); !strings.Contains(body, path) {
		t.Error("the picture does not lead to the finding")
	}
}
