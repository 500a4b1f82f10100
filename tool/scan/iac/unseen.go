package iac

import (
	"path"

	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/finding"
)

// unseen is a finding that tells of something that could not be looked at.
func unseen(rule, id string, place diag.Place, title, titleKo, what, fix, fixKo string) finding.Finding {
	fields := finding.At(place)
	fields[finding.FieldFingerprint] = finding.Fingerprint(rule, place.File, bare(id))
	fields[FieldRule], fields[FieldResource] = rule, id
	fields[FieldTitleKo], fields[FieldFixKo] = titleKo, fixKo
	return finding.Finding{
		GeneratorID: "iac/" + rule, Title: title, Severity: &finding.Severity{Label: finding.Informational},
		Description: finding.Shorten(what, 1024), Types: []string{"Software and Configuration Checks/Infrastructure as Code"},
		Remediation:   &finding.Remediation{Recommendation: &finding.Recommendation{Text: fix}},
		Compliance:    &finding.Compliance{Status: finding.Warning, SecurityControlID: rule},
		ProductFields: fields,
	}
}

// notOnDisk tells of a module that is called and cannot be looked at.
func notOnDisk(m missingModule) finding.Finding {
	return unseen("MODULE_NOT_ON_DISK", m.address, m.place, "It cannot be known here: the module is not on disk", "모듈이 디스크에 없어 여기서는 알 수 없음",
		m.address+" comes from "+m.source+", which is not in the tree: what it makes was not looked at.",
		"Scan the folder after terraform init, or a plan: terraform show -json.", "terraform init을 실행한 폴더를 검사하거나, terraform show -json으로 만든 계획을 검사하십시오.")
}

// notRendered tells of a chart whose templates say nothing before Helm has rendered them.
func notRendered(chart string) finding.Finding {
	return unseen("CHART_NOT_RENDERED", chart, diag.Place{File: path.Join(chart, "Chart.yaml"), Line: 1}, "It cannot be known here: the chart is not rendered", "차트가 렌더링되지 않아 여기서는 알 수 없음",
		"The templates of the chart "+chart+" say nothing before Helm has put its values in: they were not looked at.",
		"Scan what helm template writes, with the values that are used.", "실제로 쓰는 값으로 helm template이 출력한 매니페스트를 검사하십시오.")
}

// notFilled tells of a file that another program makes a template or manifest of.
func notFilled(file string) finding.Finding {
	return unseen("TEMPLATE_NOT_FILLED_IN", file, diag.Place{File: file, Line: 1}, "It cannot be known here: the file is not filled in", "파일이 채워지지 않아 여기서는 알 수 없음",
		"Another program fills in the file "+file+" before it is YAML or JSON: it was not looked at.",
		"Scan what that program writes.", "해당 프로그램이 출력한 파일을 검사하십시오.")
}
