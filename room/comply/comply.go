// Package comply holds every asset against the rules that are about it, and tells the hub what does not keep them.
//
// It follows what the inventory tells of. For each rule and asset it keeps a
// status with its reason; what breaks a rule is a finding of its own, which is
// PASSED when it is mended and archived when the asset is gone. The statuses and
// what has yet to be told commit together: a crash between the two tells it later.
package comply

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/shape"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/keeper/inventory"
	"github.com/haechi-dev/haechi/lang/guard"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/rules/aws"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// Schema is comply's tables: the status of each rule and asset, with the finding
// that tells of it, and what the statuses were made of.
func Schema() db.Schema {
	return db.Schema{Room: "comply", Steps: []string{`
CREATE TABLE comply_status (rule TEXT NOT NULL, account TEXT NOT NULL, region TEXT NOT NULL, type TEXT NOT NULL, id TEXT NOT NULL, arn TEXT NOT NULL,
	captured BIGINT NOT NULL, status TEXT NOT NULL, reason TEXT NOT NULL, evidence TEXT NOT NULL, at BIGINT NOT NULL, since BIGINT NOT NULL, suppressed BIGINT NOT NULL,
	version BIGINT NOT NULL, pending BIGINT NOT NULL, gone BIGINT NOT NULL, finding TEXT NOT NULL, doc TEXT NOT NULL, PRIMARY KEY (rule, type, id, account, region));
CREATE INDEX comply_status_asset ON comply_status (type, id, account, region);
CREATE INDEX comply_status_finding ON comply_status (finding);
CREATE INDEX comply_status_pending ON comply_status (pending);
CREATE TABLE comply_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)
`}}
}

// Pack is a set of rules that belong together.
type Pack struct {
	Name      string     // short: K-ISMS
	Title     guard.Text //
	Type      string     // of its findings, as ASFF has them
	Framework string     // whose controls it is scored by; all of its rules' where that is empty
	Policies  []*guard.Policy
}

// Packs are the packs that come with Haechi. Which rules are theirs, the rules say.
func Packs() ([]Pack, error) {
	policies, err := guard.ParsePolicies(aws.Files)
	if err != nil {
		return nil, err
	}
	const standards = "Software and Configuration Checks/Industry and Regulatory Standards/"
	packs := []Pack{
		{Name: "K-ISMS", Framework: "ISMS-P", Title: guard.Text{En: "Operational best practices for K-ISMS", Ko: "K-ISMS 운영 모범 사례"}, Type: standards + "K-ISMS Controls (Korea)"},
		{Name: "CIS AWS", Framework: "CIS AWS 1.4", Title: guard.Text{En: "Operational best practices for the CIS AWS Foundations Benchmark", Ko: "CIS AWS Foundations Benchmark 운영 모범 사례"}, Type: standards + "CIS AWS Foundations Benchmark"},
		{Name: "PCI DSS", Framework: "PCI DSS 3.2.1", Title: guard.Text{En: "Operational best practices for PCI DSS", Ko: "PCI DSS 운영 모범 사례"}, Type: standards + "PCI-DSS"},
	}
	for _, p := range policies {
		for _, name := range p.Packs {
			i := slices.IndexFunc(packs, func(x Pack) bool { return x.Name == name })
			if i < 0 {
				return nil, fault.Invalid.Errorf("%s is of a pack %q, and there is none", p.ID, name)
			}
			packs[i].Policies = append(packs[i].Policies, p)
		}
	}
	return packs, nil
}

// Standard is the pack as the hub lists it among its standards.
func (p Pack) Standard(region string) hub.Standard {
	slug := strings.ReplaceAll(strings.ToLower(p.Name), " ", "-")
	s := hub.Standard{ARN: "arn:aws:securityhub:" + region + "::standards/" + slug + "/v/1.0.0", Name: p.Name, Description: p.Title.En,
		Company: finding.Company, Product: finding.Product, EnabledByDefault: true}
	for _, policy := range p.Policies {
		s.Controls = append(s.Controls, hub.Control{ID: policy.ID, Title: policy.Title.En, Description: policy.Help, RemediationURL: policy.Link,
			Severity: policy.Severity, Requirements: requirements(policy, p.Framework)})
	}
	return s
}

// Config says what a Comply works with and whose it is.
type Config struct {
	DB        *db.DB
	Bus       *bus.Bus
	Inventory *inventory.Inventory
	Hub       *hub.Hub
	Shapes    *shape.Shapes
	Packs     []Pack
	Log       *slog.Logger
	Now       func() time.Time
	Account   string // that the findings belong to
	Region    string
}

// Comply is the room. It is safe for concurrent use.
type Comply struct {
	config Config

	mu    sync.RWMutex
	packs *set
}

// set is the packs that count at one time. What was judged by a set that counts
// no more is not kept.
type set struct{ packs []Pack }

// New is a room on a database whose tables include Schema.
func New(c Config) *Comply {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Shapes == nil {
		c.Shapes = shape.New()
	}
	c.Account, c.Region = cmp.Or(c.Account, "000000000000"), cmp.Or(c.Region, "us-east-1")
	return &Comply{config: c, packs: &set{c.Packs}}
}

// follower is the name under which the bus knows this room.
const follower = "comply"

// Run holds assets against rules as they change, until ctx ends. It begins with
// all of them where the rules are others than the last time.
func (c *Comply) Run(ctx context.Context) error {
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		err := c.start(ctx)
		if err == nil || ctx.Err() != nil {
			break
		}
		c.config.Log.Warn("comply: starting", "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	return c.config.Bus.Follow(ctx, follower, c.handle)
}

func (c *Comply) start(ctx context.Context) error {
	if err := c.tell(ctx, nil); err != nil {
		return err
	}
	return c.refresh(ctx)
}

// handle takes in one event.
func (c *Comply) handle(ctx context.Context, e event.Event) error {
	if k, ok := inventory.KeyIn(e); ok {
		return c.Evaluate(ctx, k)
	}
	if e.Type == finding.Imported && e.Source == finding.Source {
		return c.noted(ctx, e)
	}
	return nil
}

// current is the set that counts now.
func (c *Comply) current() *set {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.packs
}

// policies are all rules, each once, though several packs may hold it.
func (s *set) policies() []*guard.Policy {
	var all []*guard.Policy
	seen := map[string]bool{}
	for _, p := range s.packs {
		for _, policy := range p.Policies {
			if !seen[policy.ID] {
				seen[policy.ID] = true
				all = append(all, policy)
			}
		}
	}
	return all
}

// Use replaces the packs, and holds all assets against the new ones.
func (c *Comply) Use(ctx context.Context, packs ...Pack) error {
	c.mu.Lock()
	c.packs = &set{packs}
	c.mu.Unlock()
	return c.refresh(ctx)
}

// refresh holds all assets against the rules, if these or the shapes are others
// than those that the statuses were made with.
func (c *Comply) refresh(ctx context.Context) error {
	digest := c.digest()
	var known []string
	err := c.config.DB.Read(ctx, func(tx *db.Tx) (err error) {
		known, err = db.All(tx, db.Value[string], "SELECT value FROM comply_meta WHERE name = 'digest'")
		return err
	})
	if err != nil || slices.Contains(known, digest) {
		return err
	}
	if err := c.EvaluateAll(ctx); err != nil {
		return fmt.Errorf("holding all assets against new rules: %w", err)
	}
	return c.config.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec("INSERT INTO comply_meta (name, value) VALUES ('digest', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", digest)
		return err
	})
}

func (c *Comply) digest() string {
	h := sha256.New()
	fmt.Fprintln(h, c.config.Shapes.Digest())
	for _, p := range c.current().packs {
		fmt.Fprintln(h, p.Name)
		for _, policy := range p.Policies {
			fmt.Fprintln(h, policy.ID, policy.Digest)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}
