package ecr_test

import (
	"flag"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/door/wire/ecr"
	"github.com/haechi-dev/haechi/door/wire/inspector2"
	"github.com/haechi-dev/haechi/door/wire/wiretest"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/room/inspect"
	"github.com/haechi-dev/haechi/tool/scan/deps"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/finding"
)

var update = flag.Bool("update", false, "write ops.txt anew")

func TestOps(t *testing.T) { wiretest.Ops(t, ecr.Service(inspector2.Config{}), "ops.txt", *update) }

const account = "111122223333"

// What was found in an image is told by its repository and tag or digest; an image that was not scanned, and a repository of which none was, are ECR's own errors.
func TestDescribe(t *testing.T) {
	b := advisory.NewBuilder()
	if err := b.Add([]byte(`{"id":"GHSA-pad","aliases":["CVE-2026-1"],"modified":"2026-01-01T00:00:00Z","summary":"left-pad pads on the right","severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],"affected":[{"package":{"ecosystem":"npm","name":"left-pad"},"versions":["1.0.0"]}]}`)); err != nil {
		t.Fatal(err)
	}
	x, err := b.Index(time.Unix(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "state.db"), bus.Schema(), hub.Schema(), inspect.Schema())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	h, err := hub.New(t.Context(), hub.Config{DB: d, Bus: bus.New(d), Account: account, Region: "us-east-1", Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	room := inspect.New(inspect.Config{DB: d, Hub: h, Maker: finding.Maker{Account: account, Region: "us-east-1"}, Log: quiet, Newest: func() (*deps.Scanner, *advisory.Index) { return deps.New(x), x }})
	digest := "sha256:" + strings.Repeat("0a", 32)
	pad := component.Component{PURL: "pkg:npm/left-pad", Ecosystem: "npm", Name: "left-pad", Version: "1.0.0", State: component.Resolved, Scope: component.Runtime, Place: diag.Place{File: "app/package-lock.json", Line: 3}}
	for target, list := range map[string][]component.Component{"registry.example/shop/api:1.2": {pad}, "registry.example/shop/api:1.1": {}, "shop/api:1.0": {pad}} {
		kind := inspect.Image
		if target == "shop/api:1.0" {
			kind = inspect.SBOM // that somebody brought
		}
		s := finding.Scan{ID: "scan-" + target, Tool: "deps", Target: target, Complete: true}
		if kind == inspect.Image && len(list) > 0 {
			s.Digest = digest
		}
		if err := room.Keep(t.Context(), kind, s, list); err != nil {
			t.Fatal(err)
		}
	}
	if err := room.Judge(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := inspector2.Config{Hub: h, Inspect: room, Account: account, Region: "us-east-1"}
	s := wiretest.Serve(t, wiretest.Options{Deny: func(r iam.Request) bool { return strings.HasSuffix(r.Resource, "repository/secret/api") }}, ecr.Service(c))
	for asked, want := range map[string]struct {
		status int
		text   string
	}{
		`{"repositoryName":"shop/api","imageId":{"imageTag":"1.2"}}`:                             {200, `"findingSeverityCounts":{"CRITICAL":1}`},
		`{"repositoryName":"shop/api","imageId":{"imageDigest":"` + digest + `"}}`:               {200, `"vulnerabilityId":"CVE-2026-1"`},
		`{"repositoryName":"shop/api","imageId":{"imageTag":"1.1"}}`:                             {200, `"enhancedFindings":[]`},
		`{"repositoryName":"shop/api","imageId":{"imageTag":"1.0"}}`:                             {200, `"findingSeverityCounts":{"CRITICAL":1}`},
		`{"repositoryName":"shop/api","imageId":{"imageTag":"9"}}`:                               {400, "ImageNotFoundException"},
		`{"repositoryName":"shop/web","imageId":{"imageTag":"1.2"}}`:                             {400, "RepositoryNotFoundException"},
		`{"repositoryName":"shop/api","imageId":{}}`:                                             {400, "InvalidParameterException"},
		`{"registryId":"999999999999","repositoryName":"shop/api","imageId":{"imageTag":"1.2"}}`: {400, "RepositoryNotFoundException"},
		`{"repositoryName":"secret/api","imageId":{"imageTag":"1.2"}}`:                           {400, "AccessDeniedException"},
	} {
		response, text := s.Call(t, "ecr", "POST", "/", "AmazonEC2ContainerRegistry_V20150921.DescribeImageScanFindings", asked)
		if response.StatusCode != want.status || !strings.Contains(string(text), want.text) {
			t.Errorf("%s: %d %s, want %d %s", asked, response.StatusCode, text, want.status, want.text)
		}
		if response.StatusCode == http.StatusOK {
			wiretest.Valid(t, ecr.Service(c).Model, "DescribeImageScanFindings", text)
		}
	}
}
