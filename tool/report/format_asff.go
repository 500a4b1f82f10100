package report

import (
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

func asffFormat() format {
	return format{name: "asff", tool: "asff", read: readASFF, is: func(d *doc) bool {
		if d.object("SchemaVersion", "ProductArn") {
			return true
		}
		for _, name := range []string{"Findings", "findings"} {
			if first := d.head.at(name); !d.list && first.at("ProductArn").is() && first.at("GeneratorId").is() {
				return true
			}
		}
		return false
	}}
}

func readASFF(r *reading) error {
	path := "*/*"
	if r.list {
		path = "[]"
	}
	product := ""
	err := r.each(path, func(at []string, n node) error {
		if !r.list && at[0] != "Findings" && at[0] != "findings" {
			return nil
		}
		text, err := json.Marshal(n.raw(), json.Deterministic(true))
		if err != nil {
			return err
		}
		f, err := finding.Parse(text)
		if err != nil {
			return fault.Invalid.Errorf("finding %s: %w", at[len(at)-1], err)
		}
		if f.Compliance != nil && f.Compliance.Status == finding.Passed {
			r.passed()
			return nil
		}
		mend(&f)
		if f.ProductFields[finding.FieldFingerprint] != "" { // our own scan's: who it is comes from that
			f.ID, product = "", "haechi"
		}
		product = or(product, productOf(f.ProductARN))
		rec := record{asff: &f, rule: f.GeneratorID, suppressed: f.Status() == finding.Suppressed, label: f.Label(), title: f.Title, text: f.Description}
		rec.key, rec.tie = asffKey(n, f), []string{string(text)}
		rec.own(f.ProductFields[finding.FieldFingerprint])
		return r.add(rec)
	})
	r.told.Tool = or(product, r.told.Tool)
	return err
}

var (
	accountForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9]{12}$`) })
	productForm = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^arn:aws[a-z-]*:securityhub:[a-z0-9-]{0,25}:([0-9]{12})?:product/[^/]+/[^/]+$`)
	})
)

// mend leaves empty what a finding must not have as it is, for its new owner to fill: accounts that
// were blacked out, times in no known form.
func mend(f *finding.Finding) {
	if !accountForm().MatchString(f.AccountID) {
		f.AccountID = ""
	}
	if !productForm().MatchString(f.ProductARN) {
		f.ProductARN = ""
	}
	f.CreatedAt, f.UpdatedAt, f.FirstObservedAt, f.LastObservedAt = timely(f.CreatedAt), timely(f.UpdatedAt), timely(f.FirstObservedAt), timely(f.LastObservedAt)
	f.SchemaVersion = finding.SchemaVersion
	f.Title = or(f.Title, f.GeneratorID, f.ID, "a finding without a title")
	f.Description, f.GeneratorID = or(f.Description, f.Title), or(f.GeneratorID, "unknown")
}

// timely is a time of ASFF, as it is where the format knows it.
func timely(text string) string {
	if _, ok := finding.Time(text); ok {
		return text
	}
	return stamp(text)
}

// productOf is the name of a product by its ARN.
func productOf(arn string) string {
	_, name, _ := strings.Cut(arn, ":product/")
	company, product, _ := strings.Cut(name, "/")
	if product == "default" || product == "" {
		return company
	}
	return product
}

// asffKey is what tells findings of one Id apart: Trivy gives those of all packages the same.
// Ids that are ARNs or UUIDs are unique where they come from.
func asffKey(n node, f finding.Finding) (key []string) {
	if strings.HasPrefix(f.ID, "arn:") || len(f.ID) == 36 && strings.Count(f.ID, "-") == 4 {
		return nil
	}
	for _, r := range n.list("Resources") {
		key = append(key, r.text("Id"))
		if p := r.text("Details", "Other", "PkgName"); p != "" {
			key = append(key, p)
		}
	}
	for _, v := range f.Vulnerabilities {
		for _, p := range v.Packages {
			key = append(key, p.Name, p.FilePath)
		}
	}
	return key
}

// asffFinding is the finding as it came, with an Id that is its own and nothing in it that the masker knows for a secret.
func (r *record) asffFinding(id key, count int) finding.Finding {
	f := *r.asff
	if r.key != nil && f.ID != "" {
		f.ID = finding.Shorten(f.ID, 400) + "/" + id.String()
	}
	f.Title, f.Description = clean(f.Title, 256), clean(f.Description, 1024)
	fields := map[string]string{finding.FieldFingerprint: id.String()}
	for k, v := range f.ProductFields {
		if len(fields) < 40 {
			fields[k] = clean(v, 2000)
		}
	}
	if count > 1 {
		fields["haechi/occurrences"] = strconv.Itoa(count)
	}
	if r.suppressed {
		fields[FieldSuppressed] = r.why
	}
	f.ProductFields = fields
	if f.Severity == nil && f.Provider == nil {
		f.Severity = &finding.Severity{Label: finding.Informational}
	}
	return f
}

// raw is what a node was made of, with numbers as numbers.
func (n node) raw() any {
	switch v := n.v.(type) {
	case number:
		return jsontext.Value(v)
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[k] = node{e}.raw()
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = node{e}.raw()
		}
		return list
	}
	return n.v
}
