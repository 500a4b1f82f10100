package app_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/haechi-dev/haechi/app"
	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/base/git/gittest"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/room/inspect"
	"github.com/haechi-dev/haechi/room/route"
	"github.com/haechi-dev/haechi/word/finding"
)

// chat is an incoming webhook of Slack's, as far as a test needs one.
type chat struct {
	*httptest.Server
	mu    sync.Mutex
	heard []string
}

func openChat(t *testing.T) *chat {
	c := &chat{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || !jsontext.Value(body).IsValid() {
			http.Error(w, "invalid_payload", http.StatusBadRequest)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.heard = append(c.heard, string(body))
	}))
	t.Cleanup(c.Close)
	return c
}

// said is how many messages had all of the words.
func (c *chat) said(words ...string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.heard {
		all := true
		for _, w := range words {
			all = all && strings.Contains(m, w)
		}
		if all {
			n++
		}
	}
	return n
}

// until waits for something to be true, but not for ever.
func (h *house) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}

// advise does what haechi db import does with advisories on npm packages: id, package, and the version that mends it.
func (h *house) advise(t *testing.T, bugs ...[3]string) {
	t.Helper()
	dir := t.TempDir()
	for _, b := range bugs {
		doc := fmt.Sprintf(`{"id":%q,"modified":%q,"summary":"a bug of %s","severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],"affected":[{"package":{"ecosystem":"npm","name":%q},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":%q}]}]}]}`,
			b[0], time.Now().UTC().Format(time.RFC3339), b[1], b[1], b[2])
		must(t, os.WriteFile(filepath.Join(dir, b[0]+".json"), []byte(doc), 0o600))
	}
	_, err := advisory.Import(t.Context(), dir, filepath.Join(h.Config.Data, app.AdvisoryFile), time.Now(), nil)
	must(t, err)
}

// bug is the finding of a bug in a target; one that is not open and has no ID where there never was any.
func (h *house) bug(t *testing.T, id, target string) *finding.Finding {
	t.Helper()
	found, err := h.Hub.Find(t.Context(), hub.Query{Filters: hub.Filters{"GeneratorId": hub.Is("deps/" + id), "ProductFields": {{Key: finding.FieldTarget, Value: target, Comparison: "EQUALS"}}}})
	must(t, err)
	if len(found.Findings) > 1 {
		t.Fatalf("%s is %d findings", id, len(found.Findings))
	}
	if len(found.Findings) == 0 {
		return &finding.Finding{RecordState: finding.Archived}
	}
	return &found.Findings[0]
}

// chatted is an installation of which a chat hears what is found.
func chatted(t *testing.T) (*house, *chat) {
	t.Helper()
	c := openChat(t)
	h := build(t, func(config *app.Config) {
		config.Outbound.Allow = []string{strings.TrimPrefix(c.URL, "http://")}
	})
	arn, err := h.Route.PutReceiver(t.Context(), route.Receiver{Kind: "slack", Name: "security", Secrets: map[string]seal.Secret{"url": seal.Secret(c.URL + "/services/x")}})
	must(t, err)
	_, err = h.Route.PutRule(t.Context(), route.Rule{Name: "findings", Pattern: `{"source": ["aws.securityhub"], "detail-type": ["Security Hub Findings - Imported"], "detail": {"findings": {"ProductFields": {"haechi/tool": ["deps"]}, "RecordState": ["ACTIVE"], "Workflow": {"Status": ["NEW"]}}}}`}, nil)
	must(t, err)
	failed, err := h.Route.PutTargets(t.Context(), "", "findings", route.RuleTarget{ID: "slack", ARN: arn})
	if err != nil || len(failed) > 0 {
		t.Fatal(err, failed)
	}
	return h, c
}

// A new advisory raises a finding on what was pushed before it, and people hear of it; a push with the fix closes
// it, and one that brings the bug back opens it again.
func TestNewAdvisory(t *testing.T) {
	h, chat := chatted(t)
	_, git, err := h.Access.CreateToken(t.Context(), access.AdminUser, access.Git)
	must(t, err)
	clone := gittest.New(t)
	push := func(version string) {
		t.Helper()
		clone.Commit("left-pad "+version, map[string]string{"package-lock.json": `{"name": "shop", "lockfileVersion": 3, "packages": {"": {"dependencies": {"left-pad": "*"}},
 "node_modules/left-pad": {"version": "` + version + `", "license": "WTFPL"}}}` + "\n"})
		clone.Git("-c", "http.extraHeader=Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte("admin:"+git.Reveal())), "push", "-q", h.url+"/git/shop", "HEAD:refs/heads/main")
	}
	push("1.0.0")
	h.until(t, "the push is looked at", func() bool {
		_, components, err := h.Inspect.Components(t.Context(), "shop", "main")
		return err == nil && len(components) == 1
	})
	if f := h.bug(t, "CVE-2026-1000", "shop"); f.ID != "" {
		t.Fatal("a bug is known of which nobody spoke")
	}
	began := time.Now()
	h.advise(t, [3]string{"CVE-2026-1000", "left-pad", "1.0.1"})
	h.until(t, "a finding rises", func() bool { return h.bug(t, "CVE-2026-1000", "shop").Open() })
	took := time.Since(began)
	h.until(t, "Slack hears of it", func() bool { return chat.said("CVE-2026-1000", "left-pad 1.0.0") == 1 })
	t.Logf("from the import to the finding %v, to Slack %v", took.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	first := h.bug(t, "CVE-2026-1000", "shop")
	if first.Place().Line != 2 || first.ProductFields[finding.FieldFixed] != "1.0.1" {
		t.Errorf("got %v, fixed in %q", first.Place(), first.ProductFields[finding.FieldFixed])
	}
	push("1.0.1")
	h.until(t, "the fix closes it", func() bool { return h.bug(t, "CVE-2026-1000", "shop").RecordState == finding.Archived })
	push("1.0.0")
	h.until(t, "it is back", func() bool { return h.bug(t, "CVE-2026-1000", "shop").Open() })
	if again := h.bug(t, "CVE-2026-1000", "shop"); again.ID != first.ID {
		t.Errorf("what came back is another finding: %s, not %s", again.ID, first.ID)
	}
	h.until(t, "Slack hears that it is back", func() bool { return chat.said("CVE-2026-1000", "left-pad 1.0.0") == 2 })
	h.advise(t, [3]string{"CVE-2026-2000", "right-pad", "2.0.0"})
	h.until(t, "an advisory that is withdrawn closes it", func() bool { return h.bug(t, "CVE-2026-1000", "shop").RecordState == finding.Archived })
}

// What somebody else's bill of materials lists is kept and judged, by the advisories of today and of tomorrow.
func TestImportedBills(t *testing.T) {
	h, chat := chatted(t)
	_, token, err := h.Access.CreateToken(t.Context(), access.AdminUser, access.Intake)
	must(t, err)
	bring := func(target, report string) (int, string) {
		r := request(t, http.MethodPost, h.url+"/haechi/reports?target="+target+"&branch=1.0", report)
		r.Header.Set("Authorization", "Bearer "+token.Reveal())
		status, _, body := do(t, r)
		return status, body
	}
	h.advise(t, [3]string{"CVE-2026-1000", "left-pad", "1.0.1"})
	for target, bill := range map[string]string{
		"gateway": `{"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": [
 {"type": "library", "name": "left-pad", "version": "1.0.0", "purl": "pkg:npm/left-pad@1.0.0", "licenses": [{"license": {"id": "MIT"}}]},
 {"type": "library", "name": "pad", "version": "3.0.0", "purl": "pkg:npm/pad@3.0.0"}]}`,
		"worker": `{"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": "worker", "documentNamespace": "https://shop.example/worker", "creationInfo": {"created": "2026-11-25T10:00:00Z", "creators": ["Tool: t"]},
 "packages": [{"SPDXID": "SPDXRef-1", "name": "left-pad", "versionInfo": "1.0.0", "downloadLocation": "NOASSERTION", "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": "pkg:npm/left-pad@1.0.0"}]},
 {"SPDXID": "SPDXRef-2", "name": "pad", "versionInfo": "3.0.0", "downloadLocation": "NOASSERTION", "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": "pkg:npm/pad@3.0.0"}]}]}`,
	} {
		status, body := bring(target, bill)
		if status != http.StatusOK || !strings.Contains(body, `"components":2`) {
			t.Fatalf("%s: %d %s", target, status, body)
		}
		if status, body := bring(target, bill); status != http.StatusOK || !strings.Contains(body, `"same":true`) {
			t.Errorf("%s again: %d %s", target, status, body)
		}
		h.until(t, target+" is judged", func() bool { return h.bug(t, "CVE-2026-1000", target).Open() })
	}
	h.advise(t, [3]string{"CVE-2026-1000", "left-pad", "1.0.1"}, [3]string{"CVE-2026-3000", "pad", "3.0.1"})
	for _, target := range []string{"gateway", "worker"} {
		h.until(t, "a new advisory is held against "+target, func() bool { return h.bug(t, "CVE-2026-3000", target).Open() })
	}
	h.until(t, "Slack hears of it", func() bool { return chat.said("CVE-2026-3000", "pad 3.0.0") > 0 })
	status, body := bring("worker", "SPDXVersion: SPDX-2.3\nDataLicense: CC0-1.0\n\nPackageName: pad\nSPDXID: SPDXRef-2\nPackageVersion: 3.0.1\nPackageDownloadLocation: NOASSERTION\nExternalRef: PACKAGE-MANAGER purl pkg:npm/pad@3.0.1\n")
	if status != http.StatusOK || !strings.Contains(body, `"components":1`) {
		t.Fatalf("%d %s", status, body)
	}
	h.until(t, "a bill with the fix closes it", func() bool {
		return h.bug(t, "CVE-2026-3000", "worker").RecordState == finding.Archived && h.bug(t, "CVE-2026-1000", "worker").RecordState == finding.Archived
	})
	s := finding.Scan{ID: "own", Tool: "deps", Target: "own", Branch: "1.0", Complete: true}
	must(t, h.Inspect.Keep(t.Context(), inspect.Source, s, nil))
	for format, bill := range map[string]string{"CycloneDX": `{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"type": "library", "name": "pad", "purl": "pkg:npm/pad@3.0.0"}]}`, "SPDX": "SPDXVersion: SPDX-2.3\nPackageName: pad\nSPDXID: SPDXRef-2\n"} {
		if _, body := bring("own", bill); !strings.Contains(body, "own 1.0 is scanned here itself") {
			t.Errorf("%s of what is scanned here: %s", format, body)
		}
	}
	if !h.bug(t, "CVE-2026-3000", "gateway").Open() {
		t.Error("the bill of one thing closes the bugs of another")
	}
}
