package report

import (
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/word/finding"
)

// What is written of OCSF 1.4: https://schema.ocsf.io/1.4.0/
type ocsfFinding struct {
	ActivityID      int               `json:"activity_id"`
	CategoryUID     int               `json:"category_uid"`
	ClassUID        int               `json:"class_uid"`
	TypeUID         int               `json:"type_uid"`
	Time            int64             `json:"time"`
	SeverityID      int               `json:"severity_id"`
	Severity        string            `json:"severity"`
	StatusID        int               `json:"status_id"`
	Status          string            `json:"status"`
	Message         string            `json:"message"`
	Metadata        ocsfMetadata      `json:"metadata"`
	Info            ocsfInfo          `json:"finding_info"`
	Cloud           *ocsfCloud        `json:"cloud,omitzero"`
	Remediation     *ocsfRemediation  `json:"remediation,omitzero"`
	Resources       []ocsfResource    `json:"resources,omitzero"`
	Vulnerabilities []ocsfWeakness    `json:"vulnerabilities,omitzero"`
	Compliance      *ocsfCompliance   `json:"compliance,omitzero"`
	Unmapped        map[string]string `json:"unmapped,omitzero"`
}

type ocsfMetadata struct {
	Version  string      `json:"version"`
	Product  ocsfProduct `json:"product"`
	Code     string      `json:"event_code,omitzero"`
	Profiles []string    `json:"profiles,omitzero"`
}

type ocsfProduct struct {
	Name   string `json:"name"`
	Vendor string `json:"vendor_name"`
}

type ocsfInfo struct {
	UID       string   `json:"uid"`
	Title     string   `json:"title"`
	Desc      string   `json:"desc"`
	Types     []string `json:"types,omitzero"`
	FirstSeen int64    `json:"first_seen_time,omitzero"`
	LastSeen  int64    `json:"last_seen_time,omitzero"`
	Created   int64    `json:"created_time,omitzero"`
	Modified  int64    `json:"modified_time,omitzero"`
	SrcURL    string   `json:"src_url,omitzero"`
}

type ocsfCloud struct {
	Provider string      `json:"provider"`
	Region   string      `json:"region,omitzero"`
	Account  ocsfAccount `json:"account"`
}

type ocsfAccount struct {
	UID string `json:"uid"`
}

type ocsfRemediation struct {
	Desc       string   `json:"desc"`
	References []string `json:"references,omitzero"`
}

type ocsfResource struct {
	UID    string `json:"uid"`
	Type   string `json:"type"`
	Region string `json:"region,omitzero"`
}

type ocsfCompliance struct {
	Control  string `json:"control,omitzero"`
	Status   string `json:"status"`
	StatusID int    `json:"status_id"`
}

type ocsfWeakness struct {
	CVE        *ocsfCVE      `json:"cve,omitzero"`
	Advisory   *ocsfUID      `json:"advisory,omitzero"`
	References []string      `json:"references,omitzero"`
	Packages   []ocsfPackage `json:"affected_packages,omitzero"`
}

type ocsfUID struct {
	UID string `json:"uid"`
}

type ocsfCVE struct {
	UID  string    `json:"uid"`
	EPSS *ocsfEPSS `json:"epss,omitzero"`
}

type ocsfEPSS struct {
	Score string `json:"score"`
}

type ocsfPackage struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Fixed   string `json:"fixed_in_version,omitzero"`
}

// OCSF writes each finding as an event of the Open Cybersecurity Schema Framework on a line
// of its own, the worst first: vulnerability findings (2002), compliance findings
// (2003), and detection findings (2004) for all others.
func OCSF(w io.Writer, findings []finding.Finding) error {
	for _, f := range Sorted(findings) {
		text, err := json.Marshal(ocsfOf(&f), json.Deterministic(true))
		if err != nil {
			return err
		}
		if _, err := w.Write(append(text, '\n')); err != nil {
			return err
		}
	}
	return nil
}

func ocsfOf(f *finding.Finding) ocsfFinding {
	names := [...]string{"Informational", "Low", "Medium", "High", "Critical"}
	rank := max(f.Label().Rank(), 0)
	o := ocsfFinding{ActivityID: 2, CategoryUID: 2, ClassUID: 2004, SeverityID: rank + 1, Severity: names[rank], StatusID: 1, Status: "New", Message: f.Title, Unmapped: f.ProductFields,
		Metadata: ocsfMetadata{Version: "1.4.0", Code: f.GeneratorID, Product: ocsfProduct{or(f.ProductName, finding.Product), or(f.CompanyName, finding.Company)}},
		Info:     ocsfInfo{UID: f.ID, Title: f.Title, Desc: f.Description, Types: f.Types, FirstSeen: millis(f.FirstObservedAt), LastSeen: millis(f.LastObservedAt), Created: millis(f.CreatedAt), Modified: millis(f.UpdatedAt), SrcURL: f.SourceURL}}
	o.Time = max(o.Info.Modified, o.Info.Created)
	if o.Info.Created == o.Info.Modified {
		o.ActivityID = 1
	}
	switch status := f.Status(); {
	case f.RecordState == finding.Archived:
		o.ActivityID, o.StatusID, o.Status = 3, 6, "Archived"
	case status == finding.Suppressed:
		o.StatusID, o.Status = 3, "Suppressed"
	case status == finding.Resolved:
		o.ActivityID, o.StatusID, o.Status = 3, 4, "Resolved"
	case status == finding.Notified:
		o.StatusID, o.Status = 2, "In Progress"
	}
	if f.AccountID != "" {
		o.Cloud = &ocsfCloud{"AWS", f.Region, ocsfAccount{f.AccountID}}
		o.Metadata.Profiles = []string{"cloud"}
	}
	if text, link := advice(f); text != "" || link != "" {
		o.Remediation = &ocsfRemediation{Desc: text}
		if link != "" {
			o.Remediation.References = []string{link}
		}
	}
	for _, r := range f.Resources {
		o.Resources = append(o.Resources, ocsfResource{r.ID, r.Type, r.Region})
	}
	o.classify(f)
	o.TypeUID = o.ClassUID*100 + o.ActivityID
	return o
}

// classify says which class of finding it is, with what only that class has.
func (o *ocsfFinding) classify(f *finding.Finding) {
	for _, v := range f.Vulnerabilities {
		one := ocsfWeakness{References: v.ReferenceURLs}
		if strings.HasPrefix(v.ID, "CVE-") {
			one.CVE = &ocsfCVE{UID: v.ID}
			if v.EpssScore != nil {
				one.CVE.EPSS = &ocsfEPSS{strconv.FormatFloat(*v.EpssScore, 'f', -1, 64)}
			}
		} else {
			one.Advisory = &ocsfUID{v.ID}
		}
		for _, p := range v.Packages {
			one.Packages = append(one.Packages, ocsfPackage{p.Name, p.Version, p.FixedInVersion})
		}
		o.ClassUID, o.Vulnerabilities = 2002, append(o.Vulnerabilities, one)
	}
	if f.Compliance != nil && o.Vulnerabilities == nil {
		ids := map[string]int{finding.Passed: 1, finding.Warning: 2, finding.Failed: 3}
		o.ClassUID, o.Compliance = 2003, &ocsfCompliance{or(f.Compliance.SecurityControlID, f.GeneratorID), f.Compliance.Status, ids[f.Compliance.Status]}
	}
}

func millis(text string) int64 {
	t, ok := finding.Time(text)
	if !ok {
		return 0
	}
	return t.UnixMilli()
}
