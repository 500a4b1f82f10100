package hub

import (
	"context"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
)

// Product is something that sends findings.
type Product struct {
	Company, Product string // as its ARN has them
	ProductName      string
	CompanyName      string
	Description      string
	Categories       []string
	URL              string
	Enabled          bool // from the start
}

func (p Product) key() string { return p.Company + "/" + p.Product }

// SendFindings is the integration that all known products have.
const SendFindings = "SEND_FINDINGS_TO_SECURITY_HUB"

// knownProducts are those whose findings people bring along. Others can be enabled all the same.
func knownProducts() []Product {
	return []Product{
		{"prowler", "prowler", "Prowler", "Prowler", "Prowler checks clouds against best practices and standards.", []string{"Configuration Management"}, "https://github.com/prowler-cloud/prowler", true},
		{"aquasecurity", "aquasecurity", "Aqua Security", "Aqua Security", "Trivy and Aqua find vulnerabilities, secrets and misconfigurations.", []string{"Vulnerability Management"}, "https://trivy.dev", true},
		{"cloud-custodian", "cloud-custodian", "Cloud Custodian", "Cloud Custodian", "Cloud Custodian holds clouds to rules.", []string{"Configuration Management"}, "https://cloudcustodian.io", true},
		{"aws", "securityhub", "Security Hub", "AWS", "Security Hub's own controls.", []string{"Configuration Management"}, "", false},
		{"aws", "guardduty", "GuardDuty", "Amazon", "GuardDuty watches logs for signs of attack.", []string{"Threat Detection"}, "", false},
		{"aws", "inspector", "Inspector", "Amazon", "Inspector finds vulnerabilities in workloads.", []string{"Vulnerability Management"}, "", false},
		{"aws", "macie", "Macie", "Amazon", "Macie finds sensitive data.", []string{"Data Classification"}, "", false},
		{"aws", "access-analyzer", "IAM Access Analyzer", "AWS", "Access Analyzer finds what is shared with others.", []string{"Identity and Access Management"}, "", false},
		{"aws", "config", "Config", "AWS", "Config holds resources against rules.", []string{"Configuration Management"}, "", false},
		{"aws", "health", "Health", "AWS", "Health tells of events that touch accounts.", []string{"Operations"}, "", false},
	}
}

// product is what is known of an ARN's product.
func (h *Hub) product(arn productARN) Product {
	if arn.own() {
		return Product{ProductName: "Default", CompanyName: "Personal"}
	}
	if p, ok := h.products[arn.company+"/"+arn.product]; ok {
		return p
	}
	return Product{Company: arn.company, Product: arn.product, ProductName: arn.product, CompanyName: arn.company}
}

// ProductARN is a product's ARN.
func (h *Hub) ProductARN(p Product) string {
	return "arn:aws:securityhub:" + h.config.Region + "::product/" + p.key()
}

// OwnProductARN is that of the default product: an account's own findings.
func (h *Hub) OwnProductARN() string { return h.arn("product/" + h.config.Account + "/default") }

// Products are those that are known, by name, and those that were enabled besides.
func (h *Hub) Products(ctx context.Context) (list []Product, err error) {
	enabled, err := h.enabledProducts(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range h.products {
		list = append(list, p)
	}
	for _, key := range enabled {
		if _, ok := h.products[key]; !ok {
			company, product, _ := strings.Cut(key, "/")
			list = append(list, Product{Company: company, Product: product, ProductName: product, CompanyName: company})
		}
	}
	slices.SortFunc(list, func(a, b Product) int { return strings.Compare(a.key(), b.key()) })
	return list, nil
}

func (h *Hub) enabledProducts(ctx context.Context) (keys []string, err error) {
	err = h.db.Read(ctx, func(tx *db.Tx) error {
		keys, err = db.All(tx, db.Value[string], "SELECT arn FROM hub_products ORDER BY arn")
		return err
	})
	return keys, err
}

// Subscriptions are the ARNs of the products whose findings may come in.
func (h *Hub) Subscriptions(ctx context.Context) ([]string, error) {
	keys, err := h.enabledProducts(ctx)
	for i, key := range keys {
		keys[i] = h.arn("product-subscription/" + key)
	}
	return keys, err
}

// EnableProduct lets findings of a product in. fault.Exists if they are.
func (h *Hub) EnableProduct(ctx context.Context, productARN string) (subscription string, err error) {
	arn, ok := parseProductARN(productARN)
	if !ok || arn.own() || arn.account != "" {
		return "", fault.Invalid.Errorf("%q is not the ARN of a product, such as %s", productARN, "arn:aws:securityhub:"+h.config.Region+"::product/company/product")
	}
	key := arn.company + "/" + arn.product
	return h.arn("product-subscription/" + key), h.db.Write(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec("INSERT INTO hub_products (arn, at) VALUES (?, ?) ON CONFLICT (arn) DO NOTHING", key, h.now().UnixMicro())
		if err == nil && n == 0 {
			err = fault.Exists.Errorf("findings of %s are enabled already", key)
		}
		return err
	})
}

// DisableProduct lets findings of a product in no more. What is stored stays.
func (h *Hub) DisableProduct(ctx context.Context, subscription string) error {
	_, key, ok := strings.Cut(subscription, ":product-subscription/")
	if !ok {
		return fault.Invalid.Errorf("%q is not the ARN of a product subscription", subscription)
	}
	return h.db.Write(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec("DELETE FROM hub_products WHERE arn = ?", clean(key))
		if err == nil && n == 0 {
			err = fault.NotFound.Errorf("findings of %s are not enabled", key)
		}
		return err
	})
}
