package hub

import (
	"context"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// Settings are those of the hub as a whole.
type Settings struct {
	Enabled            bool      `json:"enabled"`
	Since              time.Time `json:"since"`              // when it was enabled last
	AutoEnableControls bool      `json:"autoEnableControls"` // new controls of enabled standards are on
	Generator          string    `json:"generator"`          // SECURITY_CONTROL or STANDARD_CONTROL
}

// The two ways to raise findings of controls.
const (
	OnePerControl  = "SECURITY_CONTROL"
	OnePerStandard = "STANDARD_CONTROL"
)

// ARN is the hub's own.
func (h *Hub) ARN() string { return h.arn("hub/default") }

// prepare writes down the settings of a hub that is new.
func (h *Hub) prepare(ctx context.Context) error {
	return h.db.Write(ctx, func(tx *db.Tx) error {
		_, err := readSettings(tx)
		if fault.Of(err) != fault.NotFound {
			return err
		}
		now := h.now()
		if err := writeSettings(tx, Settings{Enabled: true, Since: now, AutoEnableControls: true, Generator: OnePerControl}); err != nil {
			return err
		}
		for _, p := range h.products {
			if p.Enabled {
				if _, err := tx.Exec("INSERT INTO hub_products (arn, at) VALUES (?, ?)", p.key(), now.UnixMicro()); err != nil {
					return err
				}
			}
		}
		return h.enableDefaults(tx)
	})
}

func (h *Hub) enableDefaults(tx *db.Tx) error {
	for _, s := range h.config.Standards {
		if s.EnabledByDefault {
			if err := enableStandard(tx, s.ARN, h.now()); err != nil {
				return err
			}
		}
	}
	return nil
}

func readSettings(tx *db.Tx) (s Settings, err error) {
	text, err := db.One(tx, db.Value[[]byte], "SELECT value FROM hub_settings WHERE name = 'hub'")
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(text, &s)
}

func writeSettings(tx *db.Tx, s Settings) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	_, err = tx.Exec("INSERT INTO hub_settings (name, value) VALUES ('hub', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", string(text))
	return err
}

// Settings are those in force. A disabled hub answers fault.Denied.
func (h *Hub) Settings(ctx context.Context) (s Settings, err error) {
	err = h.db.Read(ctx, func(tx *db.Tx) error {
		s, err = readSettings(tx)
		if err == nil && !s.Enabled {
			err = h.off()
		}
		return err
	})
	return s, err
}

func (h *Hub) off() error {
	return fault.Denied.Errorf("Account %s is not subscribed to AWS Security Hub", h.config.Account)
}

// Enable turns the hub on; fault.Exists if it is on. What is stored was kept.
func (h *Hub) Enable(ctx context.Context, generator string, defaultStandards bool, tags map[string]string) error {
	if generator == "" {
		generator = OnePerControl
	}
	if p := oneOf("ControlFindingGenerator", generator, OnePerControl, OnePerStandard); p != nil {
		return refuse(p)
	}
	return h.db.Write(ctx, func(tx *db.Tx) error {
		s, err := readSettings(tx)
		if err != nil {
			return err
		}
		if s.Enabled {
			return fault.Exists.Errorf("Account is already subscribed to Security Hub")
		}
		s.Enabled, s.Since, s.Generator = true, h.now(), generator
		if err := writeSettings(tx, s); err != nil {
			return err
		}
		if defaultStandards {
			if err := h.enableDefaults(tx); err != nil {
				return err
			}
		}
		return tagResource(tx, h.ARN(), tags)
	})
}

// Configure changes settings; nil and "" leave them.
func (h *Hub) Configure(ctx context.Context, autoEnable *bool, generator string) error {
	if p := oneOf("ControlFindingGenerator", generator, OnePerControl, OnePerStandard); p != nil {
		return refuse(p)
	}
	return h.db.Write(ctx, func(tx *db.Tx) error {
		s, err := readSettings(tx)
		if err != nil {
			return err
		}
		if !s.Enabled {
			return h.off()
		}
		if autoEnable != nil {
			s.AutoEnableControls = *autoEnable
		}
		if generator != "" {
			s.Generator = generator
		}
		return writeSettings(tx, s)
	})
}

// Disable turns the hub off: nothing comes in until it is enabled again. What is stored stays.
func (h *Hub) Disable(ctx context.Context) error {
	return h.db.Write(ctx, func(tx *db.Tx) error {
		s, err := readSettings(tx)
		if err != nil {
			return err
		}
		if !s.Enabled {
			return h.off()
		}
		s.Enabled = false
		return writeSettings(tx, s)
	})
}

// gate says which findings may come in.
type gate struct {
	account  string
	enabled  bool
	products []string // company/product
}

func (h *Hub) access(tx *db.Tx) (g gate, err error) {
	s, err := readSettings(tx)
	if err != nil {
		return g, err
	}
	products, err := db.All(tx, db.Value[string], "SELECT arn FROM hub_products")
	return gate{h.config.Account, s.Enabled, products}, err
}

// refuses tells why f may not come in, or nil. Over the API a product must have
// been enabled; what our own tools and importers bring was asked for.
func (g *gate) refuses(f *finding.Finding, api bool) *problem {
	if !g.enabled {
		return &problem{"AwsAccountId", "Account " + g.account + " is not subscribed to AWS Security Hub", CodeInvalidAccess}
	}
	arn, _ := parseProductARN(f.ProductARN)
	if !api || arn.own() || slices.Contains(g.products, arn.company+"/"+arn.product) {
		return nil
	}
	return &problem{"ProductArn", "findings of " + arn.company + "/" + arn.product + " are not enabled for import", CodeInvalidAccess}
}
