package app

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/door/wire/haechi"
	"github.com/haechi-dev/haechi/lang/guard"
	"github.com/haechi-dev/haechi/lang/sigma"
	"github.com/haechi-dev/haechi/room/comply"
	"github.com/haechi-dev/haechi/room/route"
	rules "github.com/haechi-dev/haechi/rules/detect"
	"github.com/haechi-dev/haechi/tool/gate"
	"github.com/haechi-dev/haechi/tool/scan/iac"
	"github.com/haechi-dev/haechi/word/fault"
	"go.yaml.in/yaml/v4"
	"golang.org/x/tools/txtar"
)

// The kinds of files that an installation can be given besides routes.
const (
	gateFile  = "gate policy"
	sigmaFile = "detection rules"
	guardFile = "policy rule"
)

// Files are what an installation is told in files, read and checked.
type Files struct {
	Routes   route.Desired
	Policy   *gate.Policy // the server's; nil where no file has one
	Gate     string       // the file that Policy is from
	Sigma    []sigma.File
	Policies []*guard.Policy

	kept []keptFile // what is kept as text; routes are kept by their room
}

type keptFile struct {
	name, kind string
	text       []byte
}

// ReadFiles reads files of every kind, told apart by what they hold: block is a
// gate policy, detection a Sigma rule, rule.guard in a txtar a Guard rule, and all
// else routes. Rules must prove themselves by the examples they bring.
func ReadFiles(files ...haechi.File) (f Files, err error) {
	var routes []route.File
	for _, file := range files {
		text := []byte(file.Text)
		switch kind := kindOf(file.Name, text); kind {
		case "":
			routes = append(routes, route.File{Name: file.Name, Text: text})
		case gateFile:
			if f.Policy != nil {
				return f, fault.Invalid.Errorf("%s: there is a gate policy already; a server has one", file.Name)
			}
			p, err := gate.Parse(file.Name, text)
			if err != nil {
				return f, err
			}
			f.Policy, f.Gate = &p, file.Name
			f.kept = append(f.kept, keptFile{file.Name, kind, text})
		default:
			f.kept = append(f.kept, keptFile{file.Name, kind, text})
		}
	}
	if f.Routes, err = route.ParseFiles(routes...); err != nil {
		return f, err
	}
	return f, f.readRules()
}

func kindOf(name string, text []byte) string {
	if path.Ext(name) == ".txtar" {
		if bytes.Contains(text, []byte("-- rule.guard --")) {
			return guardFile
		}
		return sigmaFile
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var said map[string]yaml.Node
		if err := decoder.Decode(&said); err != nil {
			return "" // the reader of routes says what is wrong, and where
		}
		for key, kind := range map[string]string{"block": gateFile, "detection": sigmaFile, "correlation": sigmaFile} {
			if _, ok := said[key]; ok {
				return kind
			}
		}
	}
}

// readRules compiles what is kept of rules, and lets it prove itself.
func (f *Files) readRules() error {
	detections, err := f.folder(sigmaFile)
	if err != nil {
		return err
	}
	if f.Sigma, err = sigma.Load(detections); err != nil {
		return err
	}
	proofs, err := sigma.Prove(detections)
	if err != nil {
		return err
	}
	for _, p := range proofs {
		if path.Ext(p.File) == ".txtar" && len(p.Unmet) > 0 { // a bare Sigma file brings no examples
			return fault.Invalid.Errorf("%s does not prove itself: %s", p.File, strings.Join(p.Unmet, "; "))
		}
	}
	policies, err := f.folder(guardFile)
	if err != nil {
		return err
	}
	if f.Policies, err = guard.ParsePolicies(policies); err != nil {
		return err
	}
	_, err = guard.Prove(policies, iac.Documents)
	return err
}

// folder is the files of one kind, as a folder of them.
func (f *Files) folder(kind string) (fs.FS, error) {
	a := &txtar.Archive{}
	for i, k := range f.kept {
		if k.kind == kind {
			a.Files = append(a.Files, txtar.File{Name: fmt.Sprintf("%02d-%s", i, path.Base(k.name)), Data: k.text})
		}
	}
	return txtar.FS(a)
}

// ApplyFiles makes files so: routes by their room, a gate policy and rules here.
func (a *App) ApplyFiles(ctx context.Context, files []haechi.File, secrets route.Secrets, dry bool) ([]route.Change, error) {
	want, err := ReadFiles(files...)
	if err != nil {
		return nil, err
	}
	do := a.Route.Apply
	if dry {
		do = a.Route.Plan
	}
	changes, err := do(ctx, want.Routes, secrets)
	if err != nil {
		return nil, err
	}
	var more []route.Change
	err = a.DB.Write(ctx, func(tx *db.Tx) error {
		have, err := readKept(tx)
		if err != nil {
			return err
		}
		if more = differ(have, want.kept); dry || len(more) == 0 {
			return nil
		}
		return writeKept(tx, want.kept)
	})
	if err != nil || dry || len(more) == 0 {
		return append(changes, more...), err
	}
	return append(changes, more...), a.takeFiles(ctx)
}

// PipelineARN is the ARN of a pipeline of this installation.
func (a *App) PipelineARN(name string) string {
	return "arn:aws:codepipeline:" + a.Config.Region + ":" + a.Config.Account + ":" + name
}

func readKept(tx *db.Tx) ([]keptFile, error) {
	return db.All(tx, func(scan db.Scan) (k keptFile, err error) { return k, scan(&k.name, &k.kind, &k.text) }, "SELECT name, kind, body FROM app_files ORDER BY name")
}

func writeKept(tx *db.Tx, files []keptFile) error {
	if _, err := tx.Exec("DELETE FROM app_files"); err != nil {
		return err
	}
	for _, k := range files {
		if _, err := tx.Exec("INSERT INTO app_files (name, kind, body) VALUES (?, ?, ?)", k.name, k.kind, k.text); err != nil {
			return err
		}
	}
	return nil
}

// differ says what becomes of have when want is to be.
func differ(have, want []keptFile) (changes []route.Change) {
	for _, w := range want {
		i := slices.IndexFunc(have, func(h keptFile) bool { return h.name == w.name })
		switch {
		case i < 0:
			changes = append(changes, route.Change{Do: "create", What: w.kind, Name: w.name})
		case !bytes.Equal(have[i].text, w.text):
			changes = append(changes, route.Change{Do: "update", What: w.kind, Name: w.name})
		}
	}
	for _, h := range have {
		if !slices.ContainsFunc(want, func(w keptFile) bool { return w.name == h.name }) {
			changes = append(changes, route.Change{Do: "delete", What: h.kind, Name: h.name})
		}
	}
	return changes
}

// keptFiles are what was applied, as the database has it now.
func (a *App) keptFiles(ctx context.Context) (f Files, err error) {
	err = a.DB.Read(ctx, func(tx *db.Tx) error {
		f.kept, err = readKept(tx)
		return err
	})
	if err != nil {
		return f, err
	}
	for _, k := range f.kept {
		if k.kind == gateFile {
			p, err := gate.Parse(k.name, k.text)
			if err != nil {
				return f, err
			}
			f.Policy = &p
		}
	}
	return f, f.readRules()
}

// takeFiles has the rooms go by what was applied, here or on another node.
func (a *App) takeFiles(ctx context.Context) error {
	a.files.Lock()
	defer a.files.Unlock()
	f, err := a.keptFiles(ctx)
	if err != nil || slices.EqualFunc(f.kept, a.taken, func(x, y keptFile) bool { return x.name == y.name && bytes.Equal(x.text, y.text) }) {
		return err
	}
	files, err := detections(f)
	if err != nil {
		return err
	}
	if err := a.Detect.Use(files); err != nil {
		return err
	}
	if err := a.Comply.Use(ctx, packsWith(a.packs, f)...); err != nil {
		return err
	}
	if err := a.setGuards(f); err != nil {
		return err
	}
	a.setPolicy(f)
	a.taken = f.kept
	return nil
}

func (a *App) setPolicy(f Files) {
	p := a.own
	if f.Policy != nil {
		p = *f.Policy
	}
	a.policy.Store(&p)
}

// detections are the rules that come with Haechi and those of files.
func detections(f Files) ([]sigma.File, error) {
	files, err := sigma.Load(rules.Files)
	return append(files, f.Sigma...), err
}

// packsWith are packs, and one more of people's own policies.
func packsWith(packs []comply.Pack, f Files) []comply.Pack {
	if len(f.Policies) == 0 {
		return packs
	}
	own := comply.Pack{Name: "Own", Title: guard.Text{En: "Own policies", Ko: "자체 정책"}, Type: "Software and Configuration Checks/Own Policies", Policies: f.Policies}
	return append(slices.Clone(packs), own)
}

// followFiles notices what was applied on another node.
func (a *App) followFiles(ctx context.Context) error {
	for tick := time.NewTicker(2 * time.Second); ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
			return nil
		}
		if err := a.takeFiles(ctx); err != nil && ctx.Err() == nil {
			a.log.Warn("applied files were not taken over", "error", err)
		}
	}
}
