-- a copied database must not talk to a marketplace: no secrets, no open doors, no waiting calls
UPDATE marketplace_config
   SET auth_secret = NULL,
       webhook_token_digest = NULL,
       webhook_secret_current = NULL,
       webhook_secret_previous = NULL,
       webhook_previous_until = NULL,
       home = NULL,
       state = 'draft';
UPDATE queue_job
   SET state = 'cancelled'
 WHERE model_name = 'marketplace.config'
   AND state IN ('wait_dependencies', 'pending', 'enqueued');
