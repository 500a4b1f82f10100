package console

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/door/reports"
	"github.com/haechi-dev/haechi/keeper/audit"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/keeper/inventory"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/room/build"
	"github.com/haechi-dev/haechi/room/comply"
	"github.com/haechi-dev/haechi/room/inspect"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/room/route"
	"github.com/haechi-dev/haechi/tool/scan/iac"
	"github.com/haechi-dev/haechi/word/finding"
)

var (
	templateTexts = regexp.MustCompile(`\bth? "((?:[^"\\]|\\.)*)"|"title" "((?:[^"\\]|\\.)*)"`)
	options       = regexp.MustCompile(`name="kind">(.*?)</select>`)
	optionValue   = regexp.MustCompile(`value="([^"]+)"`)
	verbs         = regexp.MustCompile(`%(?:\[\d+\])?[a-z]`)
)

// said are all texts that the pages can say, with where.
func said(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	pages, err := fs.Glob(templateFiles, "*.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range pages {
		text, err := fs.ReadFile(templateFiles, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range templateTexts.FindAllStringSubmatch(string(text), -1) {
			all[unquote(t, m[1]+m[2])] = name
		}
	}
	for _, dir := range []string{".", "../../app"} {
		files, err := filepath.Glob(dir + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if !strings.HasSuffix(name, "_test.go") {
				saidIn(t, name, all)
			}
		}
	}
	for _, text := range codes(t) {
		all[text] = "a code"
	}
	delete(all, "")
	return all
}

func unquote(t *testing.T, text string) string {
	t.Helper()
	s, err := strconv.Unquote(`"` + text + `"`)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// saidIn adds what a Go file says: the arguments of t, say and translate, the
// titles of chips, and the names that app hands in.
func saidIn(t *testing.T, name string, all map[string]string) {
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	literal := func(e ast.Expr) {
		if l, ok := e.(*ast.BasicLit); ok && l.Kind == token.STRING {
			s, err := strconv.Unquote(l.Value)
			if err != nil {
				t.Fatal(err)
			}
			all[s] = name
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			f, ok := n.Fun.(*ast.SelectorExpr)
			if ok && (f.Sel.Name == "t" || f.Sel.Name == "say") {
				literal(n.Args[0])
			}
			if f, ok := n.Fun.(*ast.Ident); ok && f.Name == "translate" && len(n.Args) > 1 {
				literal(n.Args[1])
			}
		case *ast.CompositeLit:
			kind := ""
			if a, ok := n.Type.(*ast.ArrayType); ok {
				if s, ok := a.Elt.(*ast.SelectorExpr); ok {
					kind = s.Sel.Name
				}
			}
			for _, e := range n.Elts {
				inner, ok := e.(*ast.CompositeLit)
				if kind == "Kept" && ok {
					literal(inner.Elts[0].(*ast.KeyValueExpr).Value)
				}
				if kv, ok := e.(*ast.KeyValueExpr); ok {
					if key, ok := kv.Key.(*ast.Ident); ok && (key.Name == "Trains" || key.Name == "nav") {
						literal(kv.Value)
					}
				}
			}
		case *ast.AssignStmt:
			for i, left := range n.Lhs {
				if id, ok := left.(*ast.Ident); ok && id.Name == "title" && i < len(n.Rhs) {
					literal(n.Rhs[i])
				}
			}
		}
		return true
	})
}

// codes are what the rooms say in words of their own.
func codes(t *testing.T) (all []string) {
	t.Helper()
	for _, l := range finding.Labels {
		all = append(all, string(l))
	}
	for _, s := range []finding.Status{finding.New, finding.Notified, finding.Suppressed, finding.Resolved} {
		all = append(all, string(s))
	}
	all = append(all, finding.Passed, finding.Failed, finding.Warning, finding.NotAvailable)
	for _, s := range []pipeline.Status{pipeline.Waiting, pipeline.InProgress, pipeline.Stopping, pipeline.Stopped, pipeline.Succeeded, pipeline.Failed, pipeline.Skipped, pipeline.Superseded, pipeline.Abandoned} {
		all = append(all, string(s))
	}
	all = append(all, "Source", "Scan", "Build", "Gate") // the pipeline that every repository has
	all = append(all, reviewCodes()...)
	all = append(all, buildCodes()...)
	for _, s := range []comply.Status{comply.Compliant, comply.NonCompliant, comply.NotApplicable, comply.InsufficientData} {
		all = append(all, string(s))
	}
	for _, s := range []route.DeliveryState{route.Waiting, route.Delivered, route.Dead, route.Dropped} {
		all = append(all, string(s))
	}
	for _, k := range route.Kinds() {
		all = append(all, k.Title)
		for _, f := range k.Fields {
			all = append(all, f.Name, f.Help)
		}
	}
	all = append(all, "BATCH_IMPORT_FINDINGS", "BATCH_UPDATE_FINDINGS", "UPDATE_FINDINGS", "SCAN", "EXPIRY", "SUPPRESSOR", "TIE") // hub.Change.Kind
	all = append(all, groupBys...)
	for _, c := range chips("") {
		all = append(all, c.Title)
	}
	for _, c := range shows(nil) {
		all = append(all, c.Title)
	}
	for _, e := range examples {
		all = append(all, e.Name)
	}
	page, err := fs.ReadFile(templateFiles, "page_finding.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range optionValue.FindAllStringSubmatch(options.FindString(string(page)), -1) {
		all = append(all, kind[1])
	}
	return append(all, insights(t)...)
}

// reviewCodes are what pull requests and differences say in words of their own.
func reviewCodes() (all []string) {
	for _, s := range []source.State{source.Open, source.Closed, source.Merged} {
		all = append(all, string(s))
	}
	for _, option := range []source.Option{source.FastForward, source.Squash, source.ThreeWay} {
		all = append(all, string(option))
	}
	all = append(all, source.HappenedCreated, source.HappenedStatus, source.HappenedSource, source.HappenedTarget, source.HappenedMerged, source.HappenedRuleMade, source.HappenedRule, source.HappenedRuleGone, "APPROVE", "REVOKE", "OVERRIDE")
	all = append(all, "added", "deleted", "modified", "renamed", "typechanged") // git.Diff.Status
	all = append(all, "folder", "submodule", "symbolic link", "executable")
	all = append(all, "bidi", "invisible", "lfs", "link", "definition", "binary", "cut") // source.Notice.Kind
	return append(all, "author", "committer", "co-author", "pushed")                     // source.Maker.As
}

// buildCodes are what pipelines and builds say in words of their own.
func buildCodes() (all []string) {
	for _, s := range []build.Status{build.InProgress, build.Succeeded, build.Failed, build.Fault, build.TimedOut, build.Stopped} {
		all = append(all, string(s))
	}
	all = append(all, build.Errored, build.Skipped, "UNKNOWN")
	for _, s := range []string{pipeline.Holds, pipeline.Broken, pipeline.Errored, pipeline.Asking, pipeline.Overridden, pipeline.Cancelled} {
		all = append(all, "condition "+strings.ToLower(s))
	}
	all = append(all, "entry condition", "success condition", "failure condition")
	for _, o := range []pipeline.Origin{pipeline.FromNothing, pipeline.FromFile, pipeline.FromAPI} {
		all = append(all, "from "+string(o))
	}
	return all
}

// insights are the names of those that come with the hub.
func insights(t *testing.T) (names []string) {
	t.Helper()
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "state.db"), bus.Schema(), hub.Schema())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	h, err := hub.New(t.Context(), hub.Config{DB: d, Bus: bus.New(d), Account: "111122223333", Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	all, err := h.Insights(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		names = append(names, i.Name, i.GroupBy)
	}
	return names
}

// Everything that the pages say has its Korean, with the same things filled in, and nothing else has.
func TestKoreanIsWhole(t *testing.T) {
	all := said(t)
	if len(all) < 300 {
		t.Fatalf("only %d texts are found: the search for them is wrong", len(all))
	}
	korean := words()["ko"]
	for _, text := range sortedKeys(all) {
		translation, ok := korean[text]
		if !ok {
			t.Errorf("%s: %q has no Korean", all[text], text)
			continue
		}
		if got, want := filled(translation), filled(text); !slices.Equal(got, want) {
			t.Errorf("%q fills in %v, its Korean %q %v", text, want, translation, got)
		}
	}
	for _, text := range sortedKeys(korean) {
		if _, ok := all[text]; !ok {
			t.Errorf("the Korean of %q is said nowhere", text)
		}
	}
	for _, text := range sortedKeys(words()["en"]) {
		if !slices.Contains(codes(t), text) {
			t.Errorf("%q is no code", text)
		}
	}
}

// filled are the verbs of a text, in the order of their arguments.
func filled(text string) (all []string) {
	all = verbs.FindAllString(text, -1)
	if strings.Contains(text, "%[") {
		slices.Sort(all) // %[1]d before %[2]s
	}
	for i, v := range all {
		all[i] = "%" + v[len(v)-1:]
	}
	return all
}

// The first language that a reader accepts and that we speak is theirs; English is everybody's.
func TestLanguage(t *testing.T) {
	for accept, want := range map[string]string{"": "en", "ko-KR,ko;q=0.9,en;q=0.8": "ko", "fr-FR, ko;q=0.5": "ko", "en-GB,ko": "en", "*": "en", "KO": "ko", ";;,,": "en"} {
		r, err := newRequest(accept)
		if err != nil {
			t.Fatal(err)
		}
		if got := language(r); got != want {
			t.Errorf("%q: %s, want %s", accept, got, want)
		}
	}
}

// noAccounts has pages, and nothing on them.
type noAccounts struct{ Accounts }

// noSecrets has pages, and nothing on them.
type noSecrets struct{ Secrets }

// Every page has a template, and every template of a page has its page.
func TestTemplates(t *testing.T) {
	all := (&Console{config: Config{Runs: &pipeline.Pipelines{}, Source: &source.Source{}, Builds: &build.Builds{}, Assets: &inventory.Inventory{}, Comply: &comply.Comply{}, Routes: &route.Router{}, Records: &audit.Trail{}, Accounts: noAccounts{}, Reports: &reports.Door{}, Secrets: noSecrets{}, Policies: func() []iac.Rule { return nil }, Inspect: &inspect.Inspector{}}}).pages()
	var names []string
	for _, p := range all {
		names = append(names, p.name)
	}
	names = append(names, "signin", "code", "arrived", "link", "failure")
	slices.Sort(names)
	parsed, err := parseTemplates()
	if err != nil {
		t.Fatal(err)
	}
	for _, lang := range languages() {
		if got := sortedKeys(parsed[lang]); !slices.Equal(got, names) {
			t.Errorf("templates of %s: %v, want %v", lang, got, names)
		}
	}
	for _, name := range names {
		if _, err := os.Stat("page_" + name + ".html"); err != nil {
			t.Error(err)
		}
	}
}
