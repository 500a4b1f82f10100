package vex

import (
	"bytes"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/word/diag"
)

func unescape(s string) (string, error) { return url.PathUnescape(s) }

var lenient = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// readJSON tells the three kinds of VEX apart.
func readJSON(name string, text []byte) ([]Statement, error) {
	var head struct {
		Context  string `json:"@context"`
		Format   string `json:"bomFormat"`
		Document struct {
			Version string `json:"csaf_version"`
		} `json:"document"`
	}
	if err := json.Unmarshal(text, &head, lenient); err != nil {
		return nil, wrong(name, text, err)
	}
	r := reader{name, text}
	switch {
	case strings.Contains(head.Context, "openvex"):
		return r.openVEX()
	case head.Format == "CycloneDX":
		return r.cycloneDX()
	case head.Document.Version != "":
		return r.csaf()
	}
	return nil, diag.Errorf(diag.Place{File: name}, "this is no VEX of OpenVEX, CycloneDX or CSAF")
}

func wrong(name string, text []byte, err error) error {
	var offset int64
	if syntax, ok := err.(*jsontext.SyntacticError); ok {
		offset = syntax.ByteOffset
	}
	return diag.Errorf(diag.At(name, text, int(min(offset, int64(len(text))))), "this cannot be read: %v", err).In(text)
}

type reader struct {
	name string
	text []byte
}

// at is the line on which a word stands first; good enough to find a statement by.
func (r reader) at(word string) diag.Place {
	if i := bytes.Index(r.text, []byte(`"`+word+`"`)); i >= 0 && word != "" {
		return diag.Place{File: r.name, Line: 1 + bytes.Count(r.text[:i], []byte("\n"))}
	}
	return diag.Place{File: r.name}
}

// textOr is a name that documents write as text, or as an object with @id or name.
type textOr struct {
	ID      string
	Aliases []string
	PURL    string
	Parts   []textOr
}

// UnmarshalJSON takes both forms.
func (t *textOr) UnmarshalJSON(text []byte) error {
	if json.Unmarshal(text, &t.ID) == nil {
		return nil
	}
	var o struct {
		ID          string   `json:"@id"`
		Name        string   `json:"name"`
		Aliases     []string `json:"aliases"`
		Identifiers struct {
			PURL string `json:"purl"`
		} `json:"identifiers"`
		Parts []textOr `json:"subcomponents"`
	}
	if err := json.Unmarshal(text, &o, lenient); err != nil {
		return err
	}
	t.ID, t.Aliases, t.PURL, t.Parts = orElse(o.Name, o.ID), o.Aliases, o.Identifiers.PURL, o.Parts
	if strings.HasPrefix(o.ID, "pkg:") {
		t.ID = o.ID
	}
	return nil
}

func (r reader) openVEX() ([]Statement, error) {
	var d struct {
		Statements []struct {
			Vulnerability textOr   `json:"vulnerability"`
			Products      []textOr `json:"products"`
			Status        string   `json:"status"`
			Justification string   `json:"justification"`
			Impact        string   `json:"impact_statement"`
			Action        string   `json:"action_statement"`
			Notes         string   `json:"status_notes"`
		} `json:"statements"`
	}
	if err := json.Unmarshal(r.text, &d, lenient); err != nil {
		return nil, wrong(r.name, r.text, err)
	}
	var all []Statement
	for _, x := range d.Statements {
		status, ok := statusOf(x.Status)
		if !ok {
			return nil, diag.Errorf(r.at(x.Vulnerability.ID), "the status %q is none of OpenVEX's", x.Status).In(r.text)
		}
		s := Statement{Status: status, Bugs: exacts(append(x.Vulnerability.Aliases, lastPart(x.Vulnerability.ID))...), Why: joined(x.Justification, x.Impact, x.Notes, x.Action), Place: r.at(x.Vulnerability.ID)}
		for _, p := range x.Products {
			for _, part := range p.Parts {
				s.Packages = append(s.Packages, packages(orElse(part.PURL, part.ID))...)
			}
			if len(p.Parts) == 0 {
				s.Packages = append(s.Packages, packages(orElse(p.PURL, p.ID))...)
			}
		}
		all = append(all, s)
	}
	return all, nil
}

// packages is a package URL as a pattern; what names a whole product — an image, an address, a name — is about all of it.
func packages(id string) []pattern {
	for _, whole := range []string{"pkg:oci/", "pkg:docker/", "pkg:generic/", "pkg:github/"} {
		if strings.HasPrefix(id, whole) {
			return nil
		}
	}
	if !strings.HasPrefix(id, "pkg:") {
		return nil
	}
	return exacts(id)
}

// lastPart is CVE-… of https://nvd.nist.gov/vuln/detail/CVE-…
func lastPart(id string) string { return id[strings.LastIndexByte(id, '/')+1:] }

func statusOf(s string) (Status, bool) {
	switch s {
	case "not_affected", "false_positive":
		return NotAffected, true
	case "affected", "exploitable":
		return Affected, true
	case "fixed", "resolved", "resolved_with_pedigree":
		return Fixed, true
	case "under_investigation", "in_triage":
		return Looking, true
	}
	return "", false
}

func joined(parts ...string) string {
	var kept []string
	for _, p := range parts {
		if p != "" {
			kept = append(kept, p)
		}
	}
	return strings.Join(kept, ": ")
}

func (r reader) cycloneDX() ([]Statement, error) {
	type part struct {
		Ref  string `json:"bom-ref"`
		PURL string `json:"purl"`
	}
	var d struct {
		Metadata struct {
			Component part `json:"component"`
		} `json:"metadata"`
		Components      []part `json:"components"`
		Vulnerabilities []struct {
			ID         string `json:"id"`
			References []struct {
				ID string `json:"id"`
			} `json:"references"`
			Analysis struct {
				State         string `json:"state"`
				Justification string `json:"justification"`
				Detail        string `json:"detail"`
			} `json:"analysis"`
			Affects []struct {
				Ref string `json:"ref"`
			} `json:"affects"`
		} `json:"vulnerabilities"`
	}
	if err := json.Unmarshal(r.text, &d, lenient); err != nil {
		return nil, wrong(r.name, r.text, err)
	}
	byRef := map[string]string{}
	for _, c := range d.Components {
		byRef[c.Ref] = orElse(c.PURL, c.Ref)
	}
	var all []Statement
	for _, v := range d.Vulnerabilities {
		if v.Analysis.State == "" {
			continue // a report, and no decision
		}
		status, ok := statusOf(v.Analysis.State)
		if !ok {
			return nil, diag.Errorf(r.at(v.ID), "the state %q is none of CycloneDX's", v.Analysis.State).In(r.text)
		}
		s := Statement{Status: status, Bugs: exacts(v.ID), Why: joined(v.Analysis.Justification, v.Analysis.Detail), Place: r.at(v.ID)}
		for _, other := range v.References {
			s.Bugs = append(s.Bugs, exacts(other.ID)...)
		}
		whole := false
		for _, a := range v.Affects {
			ref := a.Ref
			if rest, ok := strings.CutPrefix(ref, "urn:cdx:"); ok { // of another document: its number, then the reference there
				_, ref, _ = strings.Cut(rest, "#")
				ref = plain(ref)
			}
			found := packages(orElse(byRef[ref], ref))
			whole = whole || ref == d.Metadata.Component.Ref || len(found) == 0
			s.Packages = append(s.Packages, found...)
		}
		if whole {
			s.Packages = nil
		}
		all = append(all, s)
	}
	return all, nil
}

func plain(s string) string {
	if p, err := url.PathUnescape(s); err == nil {
		return p
	}
	return s
}

// csafProduct is a node of CSAF's tree of products.
type csafProduct struct {
	ID     string `json:"product_id"`
	Helper struct {
		PURL string `json:"purl"`
	} `json:"product_identification_helper"`
}

type csafBranch struct {
	Product  *csafProduct  `json:"product"`
	Branches []*csafBranch `json:"branches"`
}

func (b *csafBranch) collect(into map[string]string, depth int) {
	const deepest = 50
	if b == nil || depth > deepest {
		return
	}
	if b.Product != nil {
		into[b.Product.ID] = b.Product.Helper.PURL
	}
	for _, c := range b.Branches {
		c.collect(into, depth+1)
	}
}

func (r reader) csaf() ([]Statement, error) {
	var d struct {
		Tree struct {
			csafBranch
			Names         []csafProduct `json:"full_product_names"`
			Relationships []struct {
				Product   csafProduct `json:"full_product_name"`
				Reference string      `json:"product_reference"`
			} `json:"relationships"`
		} `json:"product_tree"`
		Vulnerabilities []struct {
			CVE string `json:"cve"`
			IDs []struct {
				Text string `json:"text"`
			} `json:"ids"`
			Status map[string][]string `json:"product_status"`
			Flags  []struct {
				Label    string   `json:"label"`
				Products []string `json:"product_ids"`
			} `json:"flags"`
			Threats []struct {
				Details string `json:"details"`
			} `json:"threats"`
		} `json:"vulnerabilities"`
	}
	if err := json.Unmarshal(r.text, &d, lenient); err != nil {
		return nil, wrong(r.name, r.text, err)
	}
	purls := map[string]string{}
	d.Tree.collect(purls, 0)
	for _, p := range d.Tree.Names {
		purls[p.ID] = p.Helper.PURL
	}
	for _, rel := range d.Tree.Relationships {
		purls[rel.Product.ID] = orElse(rel.Product.Helper.PURL, purls[rel.Reference])
	}
	var all []Statement
	for _, v := range d.Vulnerabilities {
		bugs := exacts(v.CVE)
		for _, id := range v.IDs {
			bugs = append(bugs, exacts(id.Text)...)
		}
		why := ""
		for _, f := range v.Flags {
			why = joined(why, f.Label)
		}
		for _, t := range v.Threats {
			why = joined(why, t.Details)
		}
		for _, list := range []struct {
			name   string
			status Status
		}{{"known_not_affected", NotAffected}, {"fixed", Fixed}, {"first_fixed", Fixed}, {"known_affected", Affected}, {"first_affected", Affected}, {"last_affected", Affected}, {"under_investigation", Looking}} {
			ids := v.Status[list.name]
			if len(ids) == 0 {
				continue
			}
			s := Statement{Status: list.status, Bugs: bugs, Why: why, Place: r.at(v.CVE)}
			for _, id := range ids {
				found := packages(purls[id])
				if len(found) == 0 { // a whole product
					s.Packages = nil
					break
				}
				s.Packages = append(s.Packages, found...)
			}
			all = append(all, s)
		}
	}
	return all, nil
}
