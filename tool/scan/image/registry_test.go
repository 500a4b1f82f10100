package image_test

import (
	"bytes"
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/haechi-dev/haechi/base/advisory"
)

// compile makes an index of the OSV documents in a folder.
func compile(t *testing.T, dir, file string) {
	t.Helper()
	if _, err := advisory.Import(context.Background(), dir, file, time.Unix(1_800_000_000, 0), nil); err != nil {
		t.Fatal(err)
	}
}

// registryOf is a registry, and a switch that makes it answer with other blobs than were asked for.
func registryOf(t *testing.T) (http.Handler, *atomic.Bool) {
	t.Helper()
	forge := new(atomic.Bool)
	real := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !forge.Load() || !strings.Contains(r.URL.Path, "/blobs/") || r.Method != http.MethodGet {
			real.ServeHTTP(w, r)
			return
		}
		got := httptest.NewRecorder()
		real.ServeHTTP(got, r)
		_, _ = w.Write(bytes.ToUpper(got.Body.Bytes()))
	}), forge
}

// push puts the files of a layout into a registry.
func push(t *testing.T, address, repository, tag string, files map[string][]byte) {
	t.Helper()
	send := func(method, where, kind string, content []byte) {
		r, err := http.NewRequest(method, address+"/v2/"+repository+where, bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", kind)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusCreated {
			t.Fatalf("%s %s: %s", method, where, answer.Status)
		}
	}
	for name, content := range files {
		if strings.HasPrefix(name, "blobs/") {
			send(http.MethodPost, "/blobs/uploads/?digest=sha256:"+path.Base(name), "application/octet-stream", content)
		}
	}
	var index struct {
		Manifests []struct {
			Digest string `json:"digest"`
		} `json:"manifests"`
	}
	if err := json.Unmarshal(files["index.json"], &index); err != nil {
		t.Fatal(err)
	}
	const manifest = "application/vnd.oci.image.manifest.v1+json"
	for _, m := range index.Manifests {
		where := m.Digest
		if len(index.Manifests) == 1 {
			where = tag
		}
		send(http.MethodPut, "/manifests/"+where, manifest, files["blobs/sha256/"+strings.TrimPrefix(m.Digest, "sha256:")])
	}
	if len(index.Manifests) > 1 {
		send(http.MethodPut, "/manifests/"+tag, "application/vnd.oci.image.index.v1+json", files["index.json"])
	}
}
