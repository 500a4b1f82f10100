package comply_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/db/dbtest"
	"github.com/haechi-dev/haechi/base/shape"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/keeper/inventory"
	"github.com/haechi-dev/haechi/lang/guard"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/room/comply"
	"github.com/haechi-dev/haechi/word/asset"
	"github.com/haechi-dev/haechi/word/finding"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

const account, region = "111122223333", "ap-northeast-2"

// house is the third river up to the hub, on a real database.
type house struct {
	*testing.T
	*comply.Comply
	config comply.Config
	assets *inventory.Inventory
	hub    *hub.Hub
	bus    *bus.Bus
}

// few are rules enough to be counted by hand.
var few = []string{"CLOUD_TRAIL_ENCRYPTION_ENABLED", "CLOUD_TRAIL_LOG_FILE_VALIDATION_ENABLED", "ENCRYPTED_VOLUMES", "IAM_USER_NO_POLICIES_CHECK", "INCOMING_SSH_DISABLED",
	"RDS_INSTANCE_PUBLIC_ACCESS_CHECK", "RDS_STORAGE_ENCRYPTED", "RESTRICTED_INCOMING_TRAFFIC", "S3_BUCKET_PUBLIC_READ_PROHIBITED", "S3_BUCKET_PUBLIC_WRITE_PROHIBITED",
	"S3_BUCKET_SERVER_SIDE_ENCRYPTION_ENABLED", "S3_BUCKET_SSL_REQUESTS_ONLY"}

func each(t *testing.T, test func(h *house)) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		d := open(bus.Schema(), inventory.Schema(), hub.Schema(), comply.Schema())
		b := bus.New(d)
		findings, err := hub.New(dbtest.Context(t), hub.Config{DB: d, Bus: b, Account: account, Region: region})
		if err != nil {
			t.Fatal(err)
		}
		packs, err := comply.Packs()
		if err != nil {
			t.Fatal(err)
		}
		packs = packs[:1]
		packs[0].Policies = slices.DeleteFunc(packs[0].Policies, func(p *guard.Policy) bool { return !slices.Contains(few, p.ID) })
		assets := inventory.New(inventory.Config{DB: d, Bus: b, Account: account, Region: region})
		c := comply.Config{DB: d, Bus: b, Inventory: assets, Hub: findings, Packs: packs, Account: account, Region: region}
		test(&house{t, comply.New(c), c, assets, findings, b})
	})
}

// run runs the room until the test ends.
func (h *house) run() {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		if err := h.Comply.Run(ctx); err != nil {
			h.Error(err)
		}
	})
	h.Cleanup(func() { cancel(); done.Wait() })
}

var captured = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// bucket is a configuration item of a bucket that is public or not, later than all before.
func bucket(public bool) string {
	captured = captured.Add(time.Minute)
	blocked, acl := "true", ""
	if public {
		blocked, acl = "false", `,{\"grantee\":\"AllUsers\",\"permission\":\"Read\"}`
	}
	return fmt.Sprintf(`{"version":"1.3","accountId":%q,"configurationItemCaptureTime":%q,"configurationItemStatus":"OK","configurationStateId":"%d","arn":"arn:aws:s3:::shop-files",
		"resourceType":"AWS::S3::Bucket","resourceId":"shop-files","resourceName":"shop-files","awsRegion":%q,"tags":{"team":"shop"},"configuration":"{\"name\":\"shop-files\"}","supplementaryConfiguration":{
		"AccessControlList":"{\"grantList\":[{\"grantee\":{\"id\":\"0a1b\"},\"permission\":\"FullControl\"}%s]}","BucketPolicy":"{\"policyText\":null}",
		"ServerSideEncryptionConfiguration":"{\"rules\":[{\"applyServerSideEncryptionByDefault\":{\"sseAlgorithm\":\"AES256\"}}]}",
		"PublicAccessBlockConfiguration":"{\"blockPublicAcls\":%[6]s,\"ignorePublicAcls\":%[6]s,\"blockPublicPolicy\":%[6]s,\"restrictPublicBuckets\":%[6]s}"}}`,
		account, captured.Format(time.RFC3339), captured.Unix(), region, acl, blocked)
}

var key = inventory.Key{Account: account, Region: region, Type: "AWS::S3::Bucket", ID: "shop-files"}

func (h *house) see(text string) {
	h.Helper()
	if _, err := h.assets.ImportFile(dbtest.Context(h), "item.json", []byte(text)); err != nil {
		h.Fatal(err)
	}
}

// eventually waits until the finding of the rule and the bucket is as ok says.
func (h *house) eventually(rule, what string, ok func(finding.Finding) bool) finding.Finding {
	h.Helper()
	ctx := dbtest.Context(h)
	var last []finding.Finding
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		last = h.findings(ctx, rule)
		if len(last) == 1 && ok(last[0]) {
			return last[0]
		}
	}
	h.Fatalf("%s: no finding %s, but %d: %+v", rule, what, len(last), last)
	panic("unreachable")
}

func (h *house) findings(ctx context.Context, rule string) []finding.Finding {
	h.Helper()
	page, err := h.hub.Find(ctx, hub.Query{Filters: hub.Filters{"ComplianceSecurityControlId": hub.Is(rule)}})
	if err != nil {
		h.Fatal(err)
	}
	return page.Findings
}

func (h *house) status(rule string) comply.Status {
	h.Helper()
	results, err := h.Asset(dbtest.Context(h), key)
	if err != nil {
		h.Fatal(err)
	}
	for _, r := range results {
		if r.Rule == rule {
			return r.Status
		}
	}
	return ""
}

const publicRead = "S3_BUCKET_PUBLIC_READ_PROHIBITED"

// A bucket that is turned public becomes a finding; mended, the same finding is
// resolved; public once more, it is new again; and when the bucket goes, it is archived.
func TestBucketTurnedPublic(t *testing.T) {
	each(t, func(h *house) {
		h.run()
		h.see(bucket(false))
		h.eventually("S3_BUCKET_SSL_REQUESTS_ONLY", "of the bucket as it was", func(f finding.Finding) bool { return f.Status() == finding.New })
		if all := h.findings(dbtest.Context(h), publicRead); len(all) != 0 {
			h.Fatalf("a private bucket has findings: %+v", all)
		}
		began := time.Now()
		h.see(bucket(true))
		first := h.eventually(publicRead, "FAILED and NEW", func(f finding.Finding) bool {
			return f.Compliance.Status == finding.Failed && f.Status() == finding.New && f.RecordState == finding.Active
		})
		if took := time.Since(began); took > 2*time.Second {
			h.Errorf("it took %v", took)
		}
		h.look(first)
		h.see(bucket(false))
		mended := h.eventually(publicRead, "PASSED and RESOLVED", func(f finding.Finding) bool {
			return f.Compliance.Status == finding.Passed && f.Status() == finding.Resolved
		})
		if mended.ID != first.ID || mended.CreatedAt != first.CreatedAt {
			h.Errorf("it is another finding: %s of %s, was %s of %s", mended.ID, mended.CreatedAt, first.ID, first.CreatedAt)
		}
		h.see(bucket(true))
		h.eventually(publicRead, "FAILED and NEW again", func(f finding.Finding) bool {
			return f.Compliance.Status == finding.Failed && f.Status() == finding.New
		})
		h.see(strings.Replace(bucket(true), `"OK"`, `"ResourceDeleted"`, 1))
		h.eventually(publicRead, "ARCHIVED", func(f finding.Finding) bool { return f.RecordState == finding.Archived })
		h.until("the bucket is forgotten", func() bool { return h.status(publicRead) == "" })
	})
}

// look says what a reader needs to find in the finding.
func (h *house) look(f finding.Finding) {
	h.Helper()
	got := []string{string(f.Label()), f.Title, f.Resources[0].Type, f.Resources[0].ID, f.Resources[0].Tags["team"], f.GeneratorID, f.ProductFields[comply.FieldRule], f.ProductFields[comply.FieldPath],
		f.ProductFields[comply.FieldFound], strings.Join(f.Compliance.RelatedRequirements, ","), f.Types[0], f.ProductFields[comply.FieldTitleKo]}
	want := []string{"CRITICAL", "S3 bucket can be read by everybody", "AwsS3Bucket", "arn:aws:s3:::shop-files", "shop", "comply/" + publicRead, publicRead, "/Properties/AccessControl", `"PublicRead"`,
		"CIS AWS 1.4 3.3,ISMS-P 2.10.2,ISMS-P 2.5.6,ISMS-P 2.6.1,ISMS-P 2.6.2,NIST 800-53 AC-3,NIST 800-53 AC-6,PCI DSS 3.2.1 7.1.2,PCI DSS 3.2.1 7.2", "Software and Configuration Checks/Industry and Regulatory Standards/K-ISMS Controls (Korea)", "S3 버킷을 누구나 읽을 수 있음"}
	if d := cmp.Diff(want, got); d != "" {
		h.Error(d)
	}
	if f.Remediation.Recommendation.Text == "" || !strings.Contains(f.ProductFields[finding.FieldEvidence], "AccessControl") || !strings.Contains(f.Description, "AccessControl") {
		h.Errorf("%+v", f)
	}
}

func (h *house) until(what string, ok func() bool) {
	h.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.Fatal(what + ": not in ten seconds")
		}
	}
}

// What is judged again and is the same is not told of again.
func TestUnchangedIsSilent(t *testing.T) {
	each(t, func(h *house) {
		ctx := dbtest.Context(h)
		h.see(bucket(true))
		for range 3 {
			if err := h.EvaluateAll(ctx); err != nil {
				h.Fatal(err)
			}
			h.see(bucket(true)) // captured later, the same otherwise
		}
		told := map[string]int{}
		events, _, err := h.bus.Range(ctx, time.Time{}, time.Now().Add(time.Hour), 0, 1000)
		if err != nil {
			h.Fatal(err)
		}
		for _, e := range events {
			told[e.Type]++
		}
		// It can be read by everybody, and has no policy that asks for TLS.
		if d := cmp.Diff(map[string]int{asset.Changed: 1, finding.Imported: 2, comply.ComplianceChange: 2}, told); d != "" {
			h.Error(d)
		}
	})
}

// An asset of which the configuration is not known is not judged; what was told stays, as not available.
func TestOversized(t *testing.T) {
	each(t, func(h *house) {
		ctx := dbtest.Context(h)
		h.see(bucket(true))
		if err := h.EvaluateAll(ctx); err != nil {
			h.Fatal(err)
		}
		captured = captured.Add(time.Minute)
		h.see(fmt.Sprintf(`{"messageType":"OversizedConfigurationItemChangeNotification","configurationItemSummary":{"configurationItemCaptureTime":%q,"configurationItemStatus":"OK","resourceType":"AWS::S3::Bucket",
			"resourceId":"shop-files","ARN":"arn:aws:s3:::shop-files","awsRegion":%q,"awsAccountId":%q}}`, captured.Format(time.RFC3339), region, account))
		if err := h.Evaluate(ctx, key); err != nil {
			h.Fatal(err)
		}
		if s := h.status(publicRead); s != comply.InsufficientData {
			h.Error(s)
		}
		if f := h.findings(ctx, publicRead)[0]; f.Compliance.Status != finding.NotAvailable || f.RecordState != finding.Active {
			h.Errorf("%+v", f)
		}
	})
}

// policy is a pack of one rule about buckets: their name is wanted, whatever that is.
func pack(t *testing.T, id, name string) comply.Pack {
	t.Helper()
	policies, err := guard.ParsePolicies(fstest.MapFS{"p.txtar": {Data: []byte(`-- help.md --
help
-- rule.yaml --
id: ` + id + `
severity: LOW
title: {en: named otherwise, ko: 다른 이름}
fix: {en: name it so, ko: 그렇게 이름 지으십시오}
types: [AWS::S3::Bucket]
controls: {Own: [1.2, 1.10]}
-- rule.guard --
rule ` + id + ` { Resources.*[ Type == 'AWS::S3::Bucket' ].Properties.BucketName == '` + name + `' }
`)}})
	if err != nil {
		t.Fatal(err)
	}
	return comply.Pack{Name: "Own", Policies: policies}
}

// When the rules change everything is judged anew, at once and at the next start;
// what rules that are no more said is taken back.
func TestRulesChange(t *testing.T) {
	each(t, func(h *house) {
		ctx := dbtest.Context(h)
		h.see(bucket(true))
		if err := h.Use(ctx, pack(h.T, "NAMED", "other")); err != nil {
			h.Fatal(err)
		}
		f := h.findings(ctx, "NAMED")
		if len(f) != 1 || f[0].Compliance.Status != finding.Failed {
			h.Fatalf("%+v", f)
		}
		// A restart with another rule of the same name judges by that.
		h.config.Packs = []comply.Pack{pack(h.T, "NAMED", "shop-files")}
		h.Comply = comply.New(h.config)
		h.run()
		h.eventually("NAMED", "PASSED", func(f finding.Finding) bool { return f.Compliance.Status == finding.Passed })
		if err := h.Use(ctx, pack(h.T, "OTHER", "other")); err != nil {
			h.Fatal(err)
		}
		h.eventually("NAMED", "ARCHIVED", func(f finding.Finding) bool { return f.RecordState == finding.Archived })
		results, err := h.Asset(ctx, key)
		if err != nil || len(results) != 1 || results[0].Rule != "OTHER" {
			h.Errorf("%+v %v", results, err)
		}
	})
}

// What was judged by rules that have been replaced meanwhile does not stay.
func TestUseWhileEvaluating(t *testing.T) {
	each(t, func(h *house) {
		ctx := dbtest.Context(h)
		h.see(bucket(true))
		packs := []comply.Pack{pack(h.T, "ONE", "x"), pack(h.T, "TWO", "x")}
		stop, busy := make(chan bool), sync.WaitGroup{}
		busy.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := h.Evaluate(ctx, key); err != nil {
					h.Error(err)
					return
				}
			}
		})
		for i := range 20 {
			if err := h.Use(ctx, packs[i%2]); err != nil {
				h.Error(err)
			}
			results, err := h.Asset(ctx, key)
			if err != nil || len(results) != 1 || results[0].Rule != packs[i%2].Policies[0].ID {
				h.Errorf("after use %d: %+v %v", i, results, err)
			}
		}
		close(stop)
		busy.Wait()
	})
}

// What committed and was not told because of a crash is told at the next start.
func TestToldAfterCrash(t *testing.T) {
	each(t, func(h *house) {
		ctx := dbtest.Context(h)
		h.see(bucket(true))
		if _, err := h.hub.Find(ctx, hub.Query{}); err != nil {
			h.Fatal(err)
		}
		if err := h.hub.Disable(ctx); err != nil { // refuses every finding, which is as bad as a crash
			h.Fatal(err)
		}
		if err := h.EvaluateAll(ctx); err != nil {
			h.Fatal(err)
		}
		if f := h.findings2(ctx); f != 0 {
			h.Fatalf("a disabled hub has %d findings", f)
		}
		if err := h.hub.Enable(ctx, "", false, nil); err != nil {
			h.Fatal(err)
		}
		h.Comply = comply.New(h.config)
		h.run()
		h.eventually(publicRead, "FAILED", func(f finding.Finding) bool { return f.Compliance.Status == finding.Failed })
	})
}

func (h *house) findings2(ctx context.Context) int {
	n, err := h.hub.Count(ctx, hub.Filters{"ComplianceSecurityControlId": hub.Is(publicRead)})
	if err != nil {
		return 0 // disabled
	}
	return n
}

// The score is that of Security Hub: passed rules of those with data, rounded; what
// people suppress does not count, and rules and results can be listed and paged.
func TestScores(t *testing.T) {
	each(t, func(h *house) {
		ctx := dbtest.Context(h)
		h.run()
		h.see(bucket(true))
		h.eventually(publicRead, "FAILED", func(f finding.Finding) bool { return f.Compliance.Status == finding.Failed })
		packs, overall, err := h.Scores(ctx)
		if err != nil {
			h.Fatal(err)
		}
		k := packs[0]
		if k.Passed != 2 || k.Failed != 2 || k.NoData != 8 || k.Compliant != 2 || k.Pairs != 4 || overall.Passed != 2 {
			h.Errorf("%+v %+v", k, overall)
		}
		if p, ok := k.Percent(); p != 50 || !ok {
			h.Error(p, ok)
		}
		var names []string
		for _, c := range k.Controls {
			names = append(names, c.Name)
		}
		if !slices.IsSortedFunc(names, func(a, b string) int { return len(a) - len(b) }) || names[0] != "ISMS-P 2.5.1" || names[len(names)-1] != "ISMS-P 2.10.2" {
			h.Error(names)
		}
		f := h.findings(ctx, publicRead)[0]
		if _, err := h.hub.Update(ctx, hub.Update{Refs: []hub.Ref{hub.RefOf(f)}, Decision: hub.To(finding.Suppressed), Accept: &hub.Acceptance{Kind: "risk-accepted", Reason: "it is the shop window", Owner: "ann"}, By: "ann"}); err != nil {
			h.Fatal(err)
		}
		h.until("suppressed does not count", func() bool {
			packs, _, err := h.Scores(ctx)
			if err != nil {
				h.Fatal(err)
			}
			p, _ := packs[0].Percent()
			return p == 67
		})
		rules, err := h.Rules(ctx)
		if err != nil || len(rules) != len(few) || rules[0].Packs[0] != "K-ISMS" {
			h.Error(len(rules), err)
		}
		var seen []string
		q := comply.Query{Type: "AWS::S3::Bucket", Limit: 3}
		for {
			results, next, err := h.Results(ctx, q)
			if err != nil {
				h.Fatal(err)
			}
			for _, r := range results {
				seen = append(seen, r.Rule+" "+string(r.Status))
			}
			if q.Token = next; next == "" {
				break
			}
		}
		want := []string{publicRead + " NON_COMPLIANT", "S3_BUCKET_PUBLIC_WRITE_PROHIBITED COMPLIANT", "S3_BUCKET_SERVER_SIDE_ENCRYPTION_ENABLED COMPLIANT", "S3_BUCKET_SSL_REQUESTS_ONLY NON_COMPLIANT"}
		if d := cmp.Diff(want, seen); d != "" {
			h.Error(d)
		}
		if results, _, err := h.Results(ctx, comply.Query{Status: comply.NonCompliant, Rule: publicRead}); err != nil || len(results) != 1 || !results[0].Suppressed || len(results[0].Evidence) == 0 {
			h.Errorf("%+v %v", results, err)
		}
	})
}

// Percent rounds as Security Hub does: 6 of 10 with data are 60, 2 of 3 are 67.
func TestPercent(t *testing.T) {
	for _, c := range []struct {
		s    comply.Score
		want int
		ok   bool
	}{{comply.Score{Passed: 6, Failed: 3, Unknown: 1, NoData: 2}, 60, true}, {comply.Score{Passed: 2, Failed: 1}, 67, true}, {comply.Score{Passed: 1, Failed: 2}, 33, true}, {comply.Score{NoData: 3}, 0, false}} {
		if got, ok := c.s.Percent(); got != c.want || ok != c.ok {
			t.Errorf("%+v: %d %v", c.s, got, ok)
		}
	}
}

// The pack is a standard that the hub can list.
func TestStandard(t *testing.T) {
	packs, err := comply.Packs()
	if err != nil {
		t.Fatal(err)
	}
	s := packs[0].Standard(region)
	if s.ARN != "arn:aws:securityhub:ap-northeast-2::standards/k-isms/v/1.0.0" || len(s.Controls) != len(packs[0].Policies) || s.Controls[0].ID == "" {
		t.Errorf("%+v", s)
	}
	if shape.New().Digest() == "" {
		t.Error("no digest")
	}
}
