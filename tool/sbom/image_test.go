package sbom_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/haechi-dev/haechi/tool/sbom"
	"github.com/haechi-dev/haechi/word/component"
)

// A bill of materials of an image says that it is one, and which layer brought what; that is read again.
func TestImage(t *testing.T) {
	described := made
	described.Image = "sha256:" + strings.Repeat("ab", 32)
	layers := map[string]*component.Layer{
		"pkg:npm/lodash":         {Digest: "sha256:" + strings.Repeat("cd", 32), Index: 3, Command: `COPY . "/opt"`},
		"pkg:deb/debian/libssl3": {Digest: "sha256:" + strings.Repeat("ef", 32), Base: "debian:12"},
	}
	all := parts()
	for i := range all {
		all[i].Layer = layers[all[i].PURL]
	}
	schemas := loadSchemas(t)
	var cdx, spdx bytes.Buffer
	if err := sbom.CycloneDX(&cdx, described, all); err != nil {
		t.Fatal(err)
	}
	if err := sbom.SPDX(&spdx, described, all); err != nil {
		t.Fatal(err)
	}
	for schema, text := range map[string][]byte{"bom-1.6.schema.json": cdx.Bytes(), "spdx-2.3.schema.json": spdx.Bytes()} {
		for _, wrong := range schemas.check(schema, text) {
			t.Errorf("%s%s", schema, wrong)
		}
		if !bytes.Contains(text, []byte(described.Image)) || !bytes.Contains(text, []byte("debian:12")) {
			t.Errorf("%s: it says nothing of the image or its base", schema)
		}
	}
	d, err := sbom.Read("x", cdx.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]*component.Layer{}
	for _, c := range d.Components {
		if c.Layer != nil {
			got[c.PURL] = c.Layer
		}
	}
	if diff := cmp.Diff(layers, got); diff != "" {
		t.Error(diff)
	}
}
