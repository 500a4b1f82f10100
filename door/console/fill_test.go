package console_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/keeper/audit"
	"github.com/haechi-dev/haechi/keeper/inventory"
	"github.com/haechi-dev/haechi/keeper/snapshot"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/comply"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/room/route"
	"github.com/haechi-dev/haechi/word/finding"
)

// filled is what there is to look at in a filled house.
type filled struct {
	passed, failed pipeline.Execution
	public         inventory.Key
	slack, hook    string // ARNs of receivers
	before         string // when the public bucket was not public yet
	pull           source.Pull
}

// fill gives a house a life: findings, runs, resources, routes and what was delivered.
func fill(h *house) (f filled) {
	h.t.Helper()
	f.slack, f.hook = h.listeners()
	h.work()
	if _, err := snapshot.New(h.db, time.Now).Put(h.t.Context(), "arn:aws:iam::"+account+":user/kim", "shop <b>bold</b>.json", []byte(shop(3))); err != nil {
		h.t.Fatal(err)
	}
	for _, e := range []audit.Entry{
		{Principal: iam.Principal{ARN: "arn:aws:iam::" + account + ":user/kim", Type: "User", Name: "kim"}, Action: "iam:CreateUser", Resources: []string{"arn:aws:iam::" + account + ":user/" + strings.Repeat("long-", 20)}, UserAgent: hostile, SourceIP: "198.51.100.7"},
		{Action: "codecommit:GitPush", UserAgent: hostile, Reason: hostile, Code: "InvalidClientTokenId", Refused: true},
	} {
		if err := h.trail.Keep(h.t.Context(), e); err != nil {
			h.t.Fatal(err)
		}
	}
	for i, severity := range []finding.Label{"CRITICAL", "HIGH", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL"} {
		h.bring(fmt.Sprint("secret", i), "shop", wrong([]string{"AWS access key in a configuration file", hostile, "결제 서비스의 비밀번호가 저장소에 들어 있음", "Outdated cipher suite is allowed by the load balancer of the public shop " + strings.Repeat("(see also the other one) ", 6),
			"A cookie without SameSite", "An image tag is not pinned"}[i], severity))
	}
	h.made()
	f.public = h.see("shop-files", time.Now().Add(-2*time.Hour), false)
	f.before = time.Now().Add(-90 * time.Minute).UTC().Format(time.RFC3339)
	h.see("shop-files", time.Now().Add(-time.Hour), true)
	h.see("logs-"+strings.Repeat("long-", 10)+"bucket", time.Now().Add(-3*time.Hour), false)
	f.passed = h.ran(h.push("main", "feat: 장바구니 추가", map[string]string{"buildspec.yml": "version: 0.2\nphases: {build: {commands: [make]}}\n", "packages.txt": "fine\n"}), ended)
	f.failed = h.ran(h.push("main", "fix: "+hostile, map[string]string{"packages.txt": "lodash CRITICAL\nminimist HIGH\nleft-pad LOW\n", ".haechi/gate.yaml": "version: 1\n"}), ended)
	f.pull = h.pulled()
	h.until("compliance", func() bool {
		results, err := h.comply.Asset(h.t.Context(), f.public)
		for _, r := range results {
			if r.Status == comply.NonCompliant {
				return true
			}
		}
		return err != nil
	})
	h.until("a dead letter", func() bool {
		list, _, err := h.routes.Log(h.t.Context(), route.LogQuery{State: route.Dead}, route.Page{})
		return err != nil || len(list) > 0
	})
	return f
}

// listeners are a Slack that takes everything and a webhook that refuses it, with a rule for each.
func (h *house) listeners() (slack, hook string) {
	h.t.Helper()
	fine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") }))
	h.t.Cleanup(fine.Close)
	gone := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, hostile, http.StatusGone) }))
	h.t.Cleanup(gone.Close)
	put := func(c route.Receiver, name, pattern string) string {
		arn, err := h.routes.PutReceiver(h.t.Context(), c)
		if err == nil {
			_, err = h.routes.PutRule(h.t.Context(), route.Rule{Name: name, Pattern: pattern, Description: "두 사람이 봅니다 " + hostile}, nil)
		}
		if err == nil {
			_, err = h.routes.PutTargets(h.t.Context(), "", name, route.RuleTarget{ID: "t", ARN: arn})
		}
		if err != nil {
			h.t.Fatal(err)
		}
		return arn
	}
	slack = put(route.Receiver{Kind: "slack", Name: "security", Description: "보안팀 채널", Secrets: map[string]seal.Secret{"url": seal.Secret(fine.URL)}}, "worst-findings",
		`{"source": ["aws.securityhub"], "detail": {"findings": {"Severity": {"Label": ["CRITICAL", "HIGH"]}, "Workflow": {"Status": ["NEW"]}}}}`)
	hook = put(route.Receiver{Kind: "webhook", Name: "ticket-system", Settings: map[string]string{"url": gone.URL}, Secrets: map[string]seal.Secret{"secret": "whsec_" + seal.Secret(strings.Repeat("c2Vj", 10))}}, "failed-runs",
		`{"source": ["aws.codepipeline"], "detail": {"state": ["FAILED"]}}`)
	return slack, hook
}

// pulled is a pull request with all that there is on one: odd files, comments, an approval that counts.
func (h *house) pulled() source.Pull {
	h.t.Helper()
	must := func(err error) {
		h.t.Helper()
		if err != nil {
			h.t.Fatal(err)
		}
	}
	h.push("feature/cart", "feat: 카트 "+hostile, map[string]string{
		"README.md": "# 상점\n\n" + hostile + "\n", "src/<b>bold<b> \u202e.txt": "a\nb \u202e c\n" + hostile + "\n", "blob.bin": "\x00\x01", "long.txt": strings.Repeat("a-very-long-word", 200) + "\n",
	})
	h.push("main", "docs", map[string]string{"README.md": "# shop\n"}) // on top of it
	author := source.Person{ARN: "arn:aws:iam::" + account + ":user/kim", Name: "kim"}
	h.push("feature/more", "more "+strings.Repeat("and more ", 30), map[string]string{"README.md": "# shop\n" + hostile + "\n", "main.go": "package main\n\nfunc main() {}\n"})
	p, err := h.source.CreatePull(h.t.Context(), source.NewPull{Repository: "shop", Title: "더 " + hostile, Description: "이유 " + hostile, Source: "feature/more", Target: "main", Author: author})
	must(err)
	c, err := h.source.Say(h.t.Context(), source.Comment{Repository: "shop", Pull: p.Number, Before: p.Revision.Base, After: p.Revision.Head, Place: source.Place{Path: "main.go", Line: 3}, Author: author.ARN, Text: hostile})
	must(err)
	_, err = h.source.Say(h.t.Context(), source.Comment{Repository: "shop", Pull: p.Number, Reply: c.ID, Author: author.ARN, Text: "answer"})
	must(err)
	_, err = h.source.Say(h.t.Context(), source.Comment{Repository: "shop", Pull: p.Number, Before: p.Revision.Base, After: p.Revision.Head, Author: author.ARN, Text: "about all"})
	must(err)
	must(h.source.Approve(h.t.Context(), p.Number, p.Revision.ID, source.Person{ARN: "arn:aws:iam::" + account + ":user/lee", Name: "lee"}, true))
	must(h.source.Approve(h.t.Context(), p.Number, p.Revision.ID, source.Person{ARN: "arn:aws:iam::" + account + ":user/bot", Name: "bot", Robot: true}, true))
	return p
}
