package finding

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/word/diag"
)

// Scan says what was looked at, so that silence can be told from health.
type Scan struct {
	ID       string       // unique
	Tool     string       // secret, deps, guard, prowler …
	Version  string       // of the tool and its rules
	Target   string       // what it looked at: repository, account, image …; "" for imports that close nothing
	Branch   string       // where the target has such
	Commit   string       // hex, where the target has such
	Made     time.Time    // when the tool looked, if it says so
	Digest   string       // of the artifact, sha256:…, where there is one
	Complete bool         // everything was looked at: what is not reported is gone
	Skipped  []diag.Place // what could not be read, and why
}

// What Haechi's own findings say in ProductFields.
const (
	FieldFingerprint = "haechi/fingerprint" // rule and place, robust to moved lines
	FieldTool        = "haechi/tool"
	FieldTarget      = "haechi/target"
	FieldFile        = "haechi/file" // slash-separated, relative to the target
	FieldLine        = "haechi/line" // from 1
	FieldColumn      = "haechi/column"
	FieldExcerpt     = "haechi/excerpt" // masked
	FieldEvidence    = "haechi/evidence"
	FieldBranch      = "haechi/branch" // where it was seen last
	FieldCommit      = "haechi/commit"
	FieldPackage     = "haechi/package"
	FieldInstalled   = "haechi/installed"
	FieldFixed       = "haechi/fixed"
	FieldCWE         = "haechi/cwe"        // CWE-798
	FieldSecret      = "haechi/secret"     // salted hash, the same wherever the same secret stands
	FieldAllow       = "haechi/allow"      // the reason that a comment at the place gives for letting it be: a proposal
	FieldScope       = "haechi/scope"      // runtime or development
	FieldPlaces      = "haechi/places"     // all places of what stands in several: file:line, separated by blanks
	FieldScore       = "haechi/score"      // how urgent it is here, 0.0 to 10.0
	FieldScoreWhy    = "haechi/score-why"  // every step to the score
	FieldExploited   = "haechi/exploited"  // since when it is known to be, by CISA's catalogue
	FieldReach       = "haechi/reach"      // imported, not imported, called, not called
	FieldLicence     = "haechi/licence"    // an SPDX expression
	FieldObligation  = "haechi/obligation" // what that asks for: weak, strong, network, restricted, other
	FieldEcosystem   = "haechi/ecosystem"
	FieldSince       = "haechi/since"      // the commit that brought it first
	FieldSinceTime   = "haechi/since-time" // when that was made, RFC 3339
	FieldAuthor      = "haechi/author"     // and by whom
	FieldLast        = "haechi/last"       // of what is InHistory: the last commit that brought a file with it
	FieldStill       = "haechi/still"      // InHead, or InHistory where only older commits hold it still
	FieldLayer       = "haechi/layer"      // of an image: the digest of the layer that brought it
	FieldLayerIndex  = "haechi/layer-index"
	FieldLayerBy     = "haechi/layer-by"   // the command that made the layer
	FieldBase        = "haechi/base-image" // the base image that the layer is of
	FieldNewerBase   = "haechi/newer-base" // the base image in which it is mended
	FieldState       = "haechi/state"      // UNRESOLVED or NO_DATA, where a finding is about what cannot be known
)

// The values of FieldStill.
const (
	InHead    = "head"
	InHistory = "history"
	InLayer   = "layer" // of an image: only a lower layer holds it, and a higher one hides it
)

// Company is who Haechi's own findings are from.
const Company, Product = "Haechi", "Haechi"

// Maker is whose findings are made: the account and region they belong to.
type Maker struct{ Account, Region string }

// Own completes what a scanner, a detector or a policy found: format, product,
// owner, times, and an Id of tool, target and fingerprint, which does not
// depend on branch or time. What f says already stays. The fingerprint is
// f's FieldFingerprint; without one, its generator, place and title stand in.
func (m Maker) Own(s Scan, f Finding, now time.Time) Finding {
	fields := make(map[string]string, len(f.ProductFields)+5)
	for k, v := range f.ProductFields {
		fields[k] = v
	}
	fields[FieldTool], fields[FieldTarget] = s.Tool, s.Target
	if s.Branch != "" {
		fields[FieldBranch] = s.Branch
	}
	if s.Commit != "" {
		fields[FieldCommit] = s.Commit
	}
	if fields[FieldFingerprint] == "" {
		fields[FieldFingerprint] = Fingerprint(f.GeneratorID, fields[FieldFile], f.Title)
	}
	f.ProductFields = fields
	f.SchemaVersion = SchemaVersion
	f.AccountID = cmp.Or(f.AccountID, m.Account)
	f.Region = cmp.Or(f.Region, m.Region)
	f.ProductARN = cmp.Or(f.ProductARN, "arn:aws:securityhub:"+f.Region+":"+f.AccountID+":product/"+f.AccountID+"/default")
	f.ProductName, f.CompanyName = cmp.Or(f.ProductName, Product), cmp.Or(f.CompanyName, Company)
	f.ID = cmp.Or(f.ID, s.FindingID(fields[FieldFingerprint]))
	f.CreatedAt = cmp.Or(f.CreatedAt, Stamp(now))
	f.UpdatedAt = cmp.Or(f.UpdatedAt, Stamp(now))
	if f.RecordState == "" {
		f.RecordState = Active
	}
	if f.Severity != nil && f.Provider == nil {
		f.Provider = &ProviderFields{Severity: &Severity{Label: f.Label(), Original: f.Severity.Original}, Types: f.Types}
	}
	if len(f.Resources) == 0 {
		id := s.Target
		if file := fields[FieldFile]; file != "" {
			id += "/" + file
		}
		f.Resources = []Resource{{Type: "Other", ID: cmp.Or(id, "unknown"), Partition: "aws", Region: f.Region}}
	}
	return f
}

// FindingID is the Id of the finding of this tool and target with that fingerprint.
func (s Scan) FindingID(fingerprint string) string {
	const most = 512 - 8 - 1 - 64
	place := s.Tool + "/" + s.Target
	if len(place) > most {
		place = s.Tool + "/" + Fingerprint(s.Target)
	}
	return "haechi/" + place + "/" + fingerprint
}

// Fingerprint is a short hash over parts, in order.
func Fingerprint(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(strconv.Itoa(len(p)) + ":" + p))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Place is where in its target a finding of ours is.
func (f *Finding) Place() diag.Place {
	line, _ := strconv.Atoi(f.ProductFields[FieldLine])
	column, _ := strconv.Atoi(f.ProductFields[FieldColumn])
	return diag.Place{File: f.ProductFields[FieldFile], Line: line, Column: column}
}

// At says that f is at p, for a literal: finding.At(p).
func At(p diag.Place) map[string]string {
	m := map[string]string{FieldFile: p.File}
	if p.Line > 0 {
		m[FieldLine] = strconv.Itoa(p.Line)
	}
	if p.Column > 0 {
		m[FieldColumn] = strconv.Itoa(p.Column)
	}
	return m
}

// Where says in few words what f is about: its place, its package or its first resource.
func (f *Finding) Where() string {
	if p := f.Place(); p.File != "" {
		return p.String()
	}
	if len(f.Resources) == 0 {
		return ""
	}
	id := f.Resources[0].ID
	if rest, ok := strings.CutPrefix(id, "arn:"); ok {
		if parts := strings.SplitN(rest, ":", 5); len(parts) == 5 {
			return parts[1] + ":" + parts[4]
		}
	}
	return id
}
