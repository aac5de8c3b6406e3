select type, field, holds, required, most, choices from analytics_batch_fields() order by type, place
