package build

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/tool/egress"
	"github.com/haechi-dev/haechi/word/fault"
)

// Fleet is what CodeBuild has for machines that are kept ready. Here it is where
// the rules stand for what builds may fetch: all machines are the same.
type Fleet struct {
	ARN          string         `json:"arn"`
	Name         string         `json:"name"`
	ID           string         `json:"id"`
	Created      time.Time      `json:"created"`
	LastModified time.Time      `json:"lastModified"`
	Status       FleetStatus    `json:"status"`
	BaseCapacity int            `json:"baseCapacity"`
	Environment  string         `json:"environmentType"`
	Compute      string         `json:"computeType"`
	Overflow     string         `json:"overflowBehavior,omitzero"`
	Proxy        *egress.Rules  `json:"proxyConfiguration,omitzero"`
	ImageID      string         `json:"imageId,omitzero"`
	Role         string         `json:"fleetServiceRole,omitzero"`
	Tags         []Tag          `json:"tags,omitzero"`
	Scaling      jsontext.Value `json:"scalingConfiguration,omitzero"`
	VPC          jsontext.Value `json:"vpcConfig,omitzero"`
	ComputeSaid  jsontext.Value `json:"computeConfiguration,omitzero"`
}

// FleetStatus is ACTIVE.
type FleetStatus struct {
	Code string `json:"statusCode"`
}

var fleetName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{1,127}$`) })

func (f *Fleet) check() error {
	r := &refused{}
	r.unless(fleetName().MatchString(f.Name), "a fleet's name has 2 to 128 letters, digits, - and _, not %.140q", f.Name)
	r.unless(f.Environment == "LINUX_CONTAINER", "environmentType is LINUX_CONTAINER, not %.40q", f.Environment)
	r.unless(computeMemory(f.Compute) > 0, "computeType %.40q is none of BUILD_GENERAL1_SMALL, _MEDIUM, _LARGE, _XLARGE and _2XLARGE", f.Compute)
	r.unless(!says(f.VPC), "vpcConfig: builds here have no network but the proxy: leave it out")
	r.unless(!says(f.Scaling), "scalingConfiguration: haechi runner adds machines; nothing is scaled here")
	r.unless(!says(f.ComputeSaid), "computeConfiguration: say it with computeType")
	r.unless(f.ImageID == "", "imageId: say the image with a project's environment")
	if f.Proxy != nil && r.err == nil {
		r.err = f.Proxy.Check()
	}
	return r.err
}

func scanFleet(scan db.Scan) (f Fleet, err error) {
	var body []byte
	if err := scan(&body); err != nil {
		return f, err
	}
	return f, json.Unmarshal(body, &f)
}

// fleet is the fleet of a name or an ARN.
func (b *Builds) fleet(tx *db.Tx, name string) (Fleet, error) {
	name, _, _ = strings.Cut(bare(name, "fleet/"), ":") // AWS's ARNs end in :UUID
	f, err := db.One(tx, scanFleet, "SELECT body FROM build_fleets WHERE name = ?", name)
	if errors.Is(err, fault.NotFound) {
		return f, fault.NotFound.Errorf("there is no fleet %.200q", name)
	}
	return f, err
}

// Fleet is the fleet of a name or an ARN.
func (b *Builds) Fleet(ctx context.Context, name string) (f Fleet, err error) {
	err = b.db.Read(ctx, func(tx *db.Tx) error { f, err = b.fleet(tx, name); return err })
	return f, err
}

// Fleets are all fleets, in order of their names.
func (b *Builds) Fleets(ctx context.Context) (all []Fleet, err error) {
	err = b.db.Read(ctx, func(tx *db.Tx) error {
		all, err = db.All(tx, scanFleet, "SELECT body FROM build_fleets ORDER BY name")
		return err
	})
	return all, err
}

// CreateFleet makes a fleet.
func (b *Builds) CreateFleet(ctx context.Context, f Fleet) (Fleet, error) {
	now := b.config.Now().UTC()
	f.ARN, f.ID, f.Created, f.LastModified, f.Status = b.ARN("fleet/"+f.Name), f.Name, now, now, FleetStatus{"ACTIVE"}
	if err := f.check(); err != nil {
		return f, err
	}
	return f, b.db.Write(ctx, func(tx *db.Tx) error {
		if _, err := b.fleet(tx, f.Name); !errors.Is(err, fault.NotFound) {
			if err == nil {
				err = fault.Exists.Errorf("there is a fleet %s already", f.Name)
			}
			return err
		}
		return keepFleet(tx, f)
	})
}

func keepFleet(tx *db.Tx, f Fleet) error {
	body, err := json.Marshal(f)
	if err != nil {
		return err
	}
	_, err = tx.Exec("INSERT INTO build_fleets (name, body) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET body = excluded.body", f.Name, body)
	return err
}

// ChangeFleet changes a fleet. Builds that began before keep the rules they have.
func (b *Builds) ChangeFleet(ctx context.Context, name string, change func(*Fleet)) (f Fleet, err error) {
	err = b.db.Write(ctx, func(tx *db.Tx) error {
		if f, err = b.fleet(tx, name); err != nil {
			return err
		}
		change(&f)
		f.LastModified = b.config.Now().UTC()
		if err := f.check(); err != nil {
			return err
		}
		return keepFleet(tx, f)
	})
	return f, err
}

// DeleteFleet deletes a fleet that no project names.
func (b *Builds) DeleteFleet(ctx context.Context, name string) error {
	return b.db.Write(ctx, func(tx *db.Tx) error {
		f, err := b.fleet(tx, name)
		if err != nil {
			return err
		}
		projects, err := db.All(tx, scanProject, "SELECT body FROM build_projects ORDER BY name")
		if err != nil {
			return err
		}
		for _, p := range projects {
			if p.Environment.Fleet != nil && p.Environment.Fleet.ARN == f.ARN {
				return fault.Invalid.Errorf("the project %s names the fleet %s: change the project first", p.Name, f.Name)
			}
		}
		_, err = tx.Exec("DELETE FROM build_fleets WHERE name = ?", f.Name)
		return err
	})
}
