module thalweg/written

go 1.26

require (
	github.com/influxdata/telegraf v1.37.2
	github.com/shopspring/decimal v1.4.0
	go.opentelemetry.io/collector/pdata v1.71.0
)
