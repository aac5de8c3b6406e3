drop table pipeline_identity;
