package pipeline_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/blob"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/word/fault"
)

// hooks takes what webhooks are sent; "down" is not there for a moment, "nobody" for ever.
type hooks struct {
	mu   sync.Mutex
	got  []string
	down int
}

func (h *hooks) Call(_ context.Context, name, id string, body []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case name == "nobody":
		return fault.NotFound.Errorf("there is no API destination nobody")
	case name == "down" && h.down == 0:
		h.down++
		return fault.Unavailable.Errorf("it does not answer")
	}
	h.got = append(h.got, name+" "+id+" "+string(body))
	return nil
}

func act(name, kind, more string) string {
	p := strings.Split(kind, "/")
	return fmt.Sprintf("      - {name: %s, actionTypeId: {category: %s, owner: %s, provider: %s}%s}\n", name, p[0], p[1], p[2], more)
}

// The bundled actions do what they say.
func TestActions(t *testing.T) {
	called := &hooks{}
	each(t, func(c *pipeline.Config) {
		blobs, err := blob.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		*called = hooks{}
		c.Webhooks, c.Blobs = called, blobs
	}, func(t *testing.T, h *house) {
		const in = ", inputArtifacts: [{name: code}]"
		h.push("main", "rules", map[string]string{".haechi/rules/disks.txtar": ownRule, "packages.txt": "old HIGH\n"}) // fails
		h.push("main", "mended", map[string]string{"packages.txt": "mild LOW\n"})
		h.make("PARALLEL", head+
			stage("Look", act("Inspect", "Invoke/AWS/InspectorScan", in+", outputArtifacts: [{name: bill}], namespace: I, configuration: {InspectorRunMode: SourceCodeScan, CriticalThreshold: 0}")+
				act("SBOM", "Build/ThirdParty/HaechiSBOM", in+", outputArtifacts: [{name: spdx}], configuration: {Format: spdx}")+
				act("Guard", "Test/ThirdParty/HaechiGuard", in))+
			stage("Call", act("Hook", "Invoke/ThirdParty/HaechiWebhook", ", configuration: {Name: down, Body: 'severity #{I.HighestScannedSeverity}'}")+
				act("Lambda", "Invoke/AWS/Lambda", in+", configuration: {FunctionName: release, UserParameters: '{}'}")))
		e := h.ended(h.newest().ID)
		if e.Status != pipeline.Succeeded {
			t.Fatalf("%s %+v\n%s", e.Status, e.Reasons, h.log(e.ID))
		}
		for _, name := range []string{"bill", "spdx"} {
			if a, ok := e.Artifact(name); !ok || !strings.HasPrefix(a.Digest, "sha256:") || a.Size == 0 || a.Commit != e.Commit {
				t.Errorf("artifact %s: %+v", name, a)
			}
		}
		all := strings.Join(called.got, "\n")
		wants(t, all, "down "+e.Stage("Call").Action("Hook").ID+" severity low", `"FunctionName":"release"`, `"commit":"`+e.Commit+`"`)
		if len(called.got) != 2 {
			t.Errorf("calls: %s", all)
		}
		h.push("main", "a disk, and a hook that there is not", map[string]string{"disk.yaml": openDisk})
		s, err := h.room.Definition(t.Context(), "p")
		if err != nil {
			t.Fatal(err)
		}
		s.Structure.Stages[2].Actions[1].Configuration["FunctionName"] = "nobody"
		s.Structure.Stages[1].Actions[0].Configuration["LowThreshold"] = "0"
		if _, err := h.room.Update(t.Context(), s.Structure); err != nil {
			t.Fatal(err)
		}
		e = h.ended(h.begin().ID)
		text := ""
		for _, r := range e.Reasons {
			text += r.Action + ": " + r.Text + " " + r.Where + "\n"
		}
		wants(t, text, "Inspect: 1 findings are LOW, more than 0", "Guard: The disk is not encrypted disk.yaml:4:")
		s.Structure.Stages[1], s.Structure.Stages[2] = s.Structure.Stages[2], s.Structure.Stages[1]
		s.Structure.Stages[1].Actions[0].Configuration = map[string]string{"Name": "x"}
		if _, err := h.room.Update(t.Context(), s.Structure); err != nil {
			t.Fatal(err)
		}
		if e = h.ended(h.begin().ID); e.Status != pipeline.Failed || len(e.Reasons) != 1 || e.Reasons[0].Text != "there is no API destination nobody" {
			t.Errorf("%+v", e.Reasons)
		}
	})
}

// What a build made is scanned as it is, and a gate that is about it wants that.
func TestArtifactIsScanned(t *testing.T) {
	each(t, func(c *pipeline.Config) {
		blobs, err := blob.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		c.Blobs = blobs
	}, func(t *testing.T, h *house) {
		built := strings.ReplaceAll(build("Build", "x", 1), "configuration", "outputArtifacts: [{name: made}], configuration")
		scanned := act("Scan", "Test/ThirdParty/HaechiScan", ", inputArtifacts: [{name: code}]")
		gate := act("Gate", "Test/ThirdParty/HaechiGate", ", inputArtifacts: [{name: made}]")
		h.shop.make = func(commit string) (string, int64) { return zipped(t, h, "packages.txt", "hidden HIGH\n") }
		h.make("PARALLEL", head+stage("Build", built)+stage("Scan", scanned)+stage("Gate", gate))
		e := h.ended(h.newest().ID)
		if e.Status != pipeline.Failed || len(e.Reasons) != 1 || !strings.Contains(e.Reasons[0].Text, "nobody has looked at the artifact made") {
			t.Errorf("a gate about what nobody has scanned: %s %+v", e.Status, e.Reasons)
		}
		d, err := h.room.Definition(t.Context(), "p")
		if err != nil {
			t.Fatal(err)
		}
		d.Structure.Stages[2].Actions = append(d.Structure.Stages[2].Actions, d.Structure.Stages[2].Actions[0])
		d.Structure.Stages[2].Actions[1].Name, d.Structure.Stages[2].Actions[1].Inputs = "Made", d.Structure.Stages[3].Actions[0].Inputs
		if _, err := h.room.Update(t.Context(), d.Structure); err != nil {
			t.Fatal(err)
		}
		e = h.ended(h.begin().ID)
		if e.Status != pipeline.Failed || len(e.Reasons) != 1 || e.Reasons[0].Text != "Package hidden is vulnerable" || e.Reasons[0].Where != "packages.txt:1" {
			t.Errorf("what it hides is not found: %s %+v\n%s", e.Status, e.Reasons, h.log(e.ID))
		}
	})
}

// zipped is a ZIP file of one file among the house's blobs.
func zipped(t *testing.T, h *house, name, content string) (digest string, size int64) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.Create(name)
	if err == nil {
		_, err = io.WriteString(f, content)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	info, err := h.blobs.Put(context.Background(), &b, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return info.Digest, info.Size
}

// A run that was kept before pipelines could be defined is shown, and goes on.
func TestOldRuns(t *testing.T) {
	each(t, nil, func(t *testing.T, h *house) {
		first := h.push("main", "one", map[string]string{"a": "1"})
		old := map[string]any{
			"id": "00000000-0000-0000-0000-00000000000a", "pipeline": "shop", "number": 7, "repository": "shop", "branch": "main", "commit": first.Commit, "who": "ada", "attempt": 1, "status": "InProgress",
			"created": time.Now().UTC().Add(-time.Hour), "started": time.Now().UTC().Add(-time.Hour),
			"stages": []any{
				map[string]any{"name": "Source", "status": "Succeeded", "actions": []any{map[string]any{"name": "Source", "runner": "source", "status": "Succeeded"}}},
				map[string]any{"name": "Scan", "status": "InProgress", "actions": []any{map[string]any{"name": "Scan", "runner": "scan", "status": "InProgress", "started": time.Now().UTC()}}},
				map[string]any{"name": "Build", "status": "Waiting", "actions": []any{map[string]any{"name": "Build", "runner": "build", "status": "Skipped"}}},
				map[string]any{"name": "Gate", "status": "Waiting", "actions": []any{map[string]any{"name": "Gate", "runner": "gate", "status": "Waiting"}}},
			},
		}
		body, err := json.Marshal(old)
		if err != nil {
			t.Fatal(err)
		}
		err = h.db.Write(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec("INSERT INTO pipeline_runs (id, pipeline, number, branch, status, created, logged, body) VALUES (?, 'shop', 7, 'main', 'InProgress', ?, 0, ?)", old["id"], time.Now().Add(-time.Hour).UnixMicro(), body)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		h.restart()
		if e := h.ended(old["id"].(string)); e.Status != pipeline.Succeeded || e.Stages[1].Actions[0].Type.Provider != "HaechiScan" {
			t.Errorf("%s %+v\n%s", e.Status, e.Reasons, h.log(e.ID))
		}
	})
}
